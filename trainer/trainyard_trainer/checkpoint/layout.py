"""Where each tensor's bytes lie in the one long string of bytes that a checkpoint is, and how ranks share it out."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from trainyard_trainer.checkpoint.documents import TensorSpec
from trainyard_trainer.checkpoint.tree import NamedTensor


def layout_of(tensors: Sequence[NamedTensor]) -> list[TensorSpec]:
    """Lay the tensors one after another, without gaps."""
    specs, offset = [], 0
    for name, tensor in tensors:
        dtype = str(tensor.dtype).removeprefix("torch.")
        specs.append(TensorSpec(name=name, dtype=dtype, shape=list(tensor.shape), offset=offset))
        offset += tensor.numel() * tensor.element_size()
    return specs


def total_bytes(specs: Sequence[TensorSpec]) -> int:
    """Bytes of the whole layout."""
    return specs[-1].offset + _bytes_of_spec(specs[-1]) if specs else 0


def share(total: int, rank: int, world: int) -> tuple[int, int]:
    """The range [start, end) of `total` bytes that `rank` of `world` writes."""
    return total * rank // world, total * (rank + 1) // world


def empty_tensors(specs: Sequence[TensorSpec]) -> list[torch.Tensor]:
    """New tensors on the CPU, not yet filled."""
    return [torch.empty(spec.shape, dtype=_dtype(spec)) for spec in specs]


@dataclass(frozen=True)
class Piece:
    """Bytes of one tensor that lie in a range: `bytes` belong at `position`, counted from the range's start."""

    bytes: torch.Tensor
    position: int


def pieces(specs: Sequence[TensorSpec], tensors: Sequence[torch.Tensor], start: int, end: int) -> Iterator[Piece]:
    """The parts of `tensors` that lie in [start, end) of the layout, as uint8 views (copies if not contiguous)."""
    for spec, tensor in zip(specs, tensors, strict=True):
        low, high = max(start, spec.offset), min(end, spec.offset + tensor.numel() * tensor.element_size())
        if low < high:
            # A tensor of one element is contiguous whatever its strides say, and `view` would mind them.
            flat = tensor.contiguous().as_strided((tensor.numel(),), (1,))
            yield Piece(flat.view(torch.uint8)[low - spec.offset : high - spec.offset], low - start)


def _bytes_of_spec(spec: TensorSpec) -> int:
    return math.prod(spec.shape) * _dtype(spec).itemsize


def _dtype(spec: TensorSpec) -> torch.dtype:
    dtype = getattr(torch, spec.dtype, None)
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"tensor {spec.name} has the unknown type {spec.dtype}")
    return dtype
