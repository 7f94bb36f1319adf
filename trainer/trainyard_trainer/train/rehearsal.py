"""One discarded step before the first, which finds mistakes early and leaves DDP as every later step finds it.

DDP puts its buckets into another order after the first step; gradients added up in another order differ in their last
bits. So a fresh run and one that goes on from a checkpoint both begin behind that step.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from trainyard_api.documents import DatasetManifest
from trainyard_api.recipe import Train
from trainyard_trainer.data import Batch
from trainyard_trainer.models.network import Network, check_output
from trainyard_trainer.train.ranks import Ranks
from trainyard_trainer.train.state import random_state, set_random_state
from trainyard_trainer.train.step import TrainStep, autocast, to_device


def blank_batch(manifest: DatasetManifest, batch_size: int, ranks: Ranks) -> Batch:
    """This rank's slice of a batch of zeros, of the size and types that every batch has."""
    rows = (ranks.rank + 1) * batch_size // ranks.world - ranks.rank * batch_size // ranks.world
    fields = {
        name: np.zeros((rows, *spec.shape), spec.dtype)
        for name, spec in manifest.fields.items()
        if name in ("features", "label")
    }
    return Batch(fields, np.ones(rows, np.float32), float(batch_size), 0)


def try_out(network: Network, batch: Batch, settings: Train, name: str) -> bool:
    """Pass `batch` forward and backward through the bare network, and forget it; True if a parameter got no gradient.

    Raises TrainyardError if the output isn't what a network called `name` should give.
    """
    network.train()
    device = next(network.parameters()).device
    features, labels, _ = to_device(batch, device)
    with _unchanged(network):
        with autocast(settings, device):
            logits = network(features)
        check_output(network, logits, len(labels), name)
        logits.float().sum().backward()
    idle = any(parameter.grad is None for parameter in network.parameters() if parameter.requires_grad)
    network.zero_grad(set_to_none=True)
    return idle


def rehearse(network: Network, step: TrainStep, batch: Batch) -> None:
    """Pass `batch` forward and backward through the network as `step` wraps it, and forget it."""
    network.train()
    with _unchanged(network):
        step.gradients(batch)
    step.optimizer.zero_grad(set_to_none=True)


@contextmanager
def _unchanged(network: nn.Module) -> Iterator[None]:
    """Put buffers and random generators back afterwards."""
    buffers = [buffer.clone() for buffer in network.buffers()]
    generators = random_state()
    yield
    with torch.no_grad():
        for buffer, before in zip(network.buffers(), buffers, strict=True):
            buffer.copy_(before)
    set_random_state(generators)
