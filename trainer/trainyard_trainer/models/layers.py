"""Pieces that the built-in networks share."""

from collections.abc import Callable, Sequence

from torch import nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
}


def dense(
    inputs: int, hidden: Sequence[int], outputs: int, *, activation: str, dropout: float, batch_norm: bool
) -> list[nn.Module]:
    """Linear layers [N, inputs] -> [N, outputs]; each hidden one is followed by norm, activation and dropout."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers.append(nn.Linear(inputs, width))
        if batch_norm:
            layers.append(nn.BatchNorm1d(width))
        layers.append(ACTIVATIONS[activation]())
        if dropout:
            layers.append(nn.Dropout(dropout))
        inputs = width
    layers.append(nn.Linear(inputs, outputs))
    return layers
