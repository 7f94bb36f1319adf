"""The JSON documents of a checkpoint."""

from typing import Any, Literal

from pydantic import Field

from trainyard_api.base import Model


class TensorSpec(Model):
    """One tensor and its place among the bytes."""

    name: str = Field(description="Its path in the state, for people.")
    dtype: str = Field(description="torch's name of the element type: float32.")
    shape: list[int] = Field(description="Its shape.")
    offset: int = Field(ge=0, description="First of its bytes in the layout.")


class Part(Model):
    """What one rank wrote: bytes [start, end) of the shared state, then the rank's own tensors."""

    rank: int = Field(ge=0)
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    bytes: int = Field(ge=0, description="Size of the object: the range, and the rank's own tensors.")
    xxh3: str = Field(description="xxh3_64 of the object, 16 hex digits.")
    state: str = Field(description="xxh3_64 of the shared state's layout: equal on all ranks, or they have diverged.")
    skeleton: Any = Field(description="Skeleton of the rank's own state.")
    tensors: list[TensorSpec] = Field(description="Its tensors; offsets count from the end of the range.")


class Manifest(Model):
    """manifest.json: everything needed to read a checkpoint, at any world size."""

    version: Literal[1] = 1
    step: int = Field(ge=0, description="Optimiser steps done.")
    attempt: int = Field(ge=0, description="The attempt that wrote it.")
    skeleton: Any = Field(description='{"state": ..., "meta": ...}, with tensors by index.')
    tensors: list[TensorSpec] = Field(description="The shared tensors.")
    parts: list[Part] = Field(min_length=1, description="One per rank, in order.")


class Marker(Model):
    """COMMITTED: the checkpoint is whole. Written last."""

    step: int = Field(ge=0)
    attempt: int = Field(ge=0)
    world: int = Field(ge=1)
    manifest: str = Field(description="xxh3_64 of manifest.json.")
