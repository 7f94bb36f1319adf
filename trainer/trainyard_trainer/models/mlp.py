"""The multi-layer perceptron: for tables, and for small images taken as a row of numbers."""

import math

from torch import nn

from trainyard_api.recipe import ModelSpec
from trainyard_trainer.models.layers import dense
from trainyard_trainer.models.registry import register


@register("mlp")
def mlp(spec: ModelSpec, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """[N, *input_shape] -> hidden layers of `spec.hidden` -> [N, outputs]."""
    layers = dense(
        math.prod(input_shape),
        spec.hidden,
        outputs,
        activation=spec.activation,
        dropout=spec.dropout,
        batch_norm=spec.batch_norm,
    )
    return nn.Sequential(*([nn.Flatten()] if len(input_shape) > 1 else []), *layers)
