"""The optimiser that a recipe asks for."""

from collections.abc import Iterable

import torch
from torch import nn

from trainyard_api.recipe import Optimizer


def build_optimizer(settings: Optimizer, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """torch's own SGD, Adam or AdamW, fused into one kernel per step where all parameters allow it.

    The fused ones are deterministic, and faster than the default (bench/loop.py without and with --fused).
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    fused = all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in trained)
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.type == "sgd":
        return torch.optim.SGD(
            trained,
            lr=rate,
            momentum=settings.momentum,
            nesterov=settings.nesterov,
            weight_decay=decay,
            fused=fused,
        )
    kind = torch.optim.AdamW if settings.type == "adamw" else torch.optim.Adam
    return kind(
        trained,
        lr=rate,
        betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon,
        weight_decay=decay,
        fused=fused,
    )
