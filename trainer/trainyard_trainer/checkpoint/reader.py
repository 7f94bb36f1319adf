"""Reading a checkpoint back, with every byte checked before any of it is used."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xxhash
from pydantic import ValidationError

from trainyard_api.errors import TrainyardError
from trainyard_storage import NotFound, Store
from trainyard_trainer.checkpoint.catalogue import MANIFEST, Committed, part_key
from trainyard_trainer.checkpoint.documents import Manifest, Part
from trainyard_trainer.checkpoint.layout import empty_tensors, pieces, total_bytes
from trainyard_trainer.checkpoint.tree import unflatten

_CHUNK = 64 * 1024 * 1024  # read at once, so that memory holds the state once and one chunk


class DamagedError(Exception):
    """A checkpoint can't be used; the text says why, in a few plain words."""


@dataclass(frozen=True)
class Contents:
    """What a checkpoint holds. Tensors are on the CPU."""

    state: Any
    rank_state: Any | None  # of the rank that asked; None if another number of ranks wrote it
    meta: dict[str, Any]
    bytes: int


def read_checkpoint(store: Store, checkpoint: Committed, rank: int, world: int) -> Contents:
    """Read `checkpoint` for `rank` of `world`. Raises DamagedError if a file is missing, cut short or changed."""
    manifest = _read_manifest(store, checkpoint)
    try:
        tensors = empty_tensors(manifest.tensors)
        _check_parts(manifest)
        own: Any | None = None
        for part in manifest.parts:
            rank_tensors = empty_tensors(part.tensors)
            _read_part(store, checkpoint.folder, manifest, part, tensors, rank_tensors)
            if part.rank == rank and len(manifest.parts) == world:
                own = unflatten(part.skeleton, rank_tensors)
        contents = unflatten(manifest.skeleton, tensors)
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        raise DamagedError(f"its manifest makes no sense ({error})") from error
    return Contents(contents["state"], own, contents["meta"], total_bytes(manifest.tensors))


def _read_manifest(store: Store, checkpoint: Committed) -> Manifest:
    try:
        data = store.get(f"{checkpoint.folder}/{MANIFEST}", xxh3=checkpoint.manifest)
        return Manifest.model_validate_json(data)
    except NotFound as error:
        raise DamagedError("manifest.json is missing") from error
    except ValidationError as error:
        raise DamagedError("manifest.json can't be read") from error
    except TrainyardError as error:
        if error.cause != "DataCorrupt":
            raise
        raise DamagedError("manifest.json was changed: its digest is wrong") from error


def _check_parts(manifest: Manifest) -> None:
    """Every byte of the layout must come from some part, or tensors would hold what memory held before."""
    position = 0
    for rank, part in enumerate(manifest.parts):
        if (part.rank, part.start) != (rank, position):
            raise ValueError("the parts don't cover the state")
        position = part.end
    if position != total_bytes(manifest.tensors):
        raise ValueError("the parts don't cover the state")


def _read_part(
    store: Store,
    folder: str,
    manifest: Manifest,
    part: Part,
    tensors: Sequence[torch.Tensor],
    rank_tensors: Sequence[torch.Tensor],
) -> None:
    """Fill `tensors` with the part's range and `rank_tensors` with what follows it."""
    key = part_key(folder, part.rank)
    name = f"part-{part.rank:04d}"
    info = store.head(key)
    if info is None:
        raise DamagedError(f"{name} is missing")
    if info.size != part.bytes:
        raise DamagedError(f"{name} has {info.size} bytes instead of {part.bytes}")
    # Bits also flip on the way: what is wrong once is read once more before the checkpoint is given up.
    for _ in range(2):
        state = xxhash.xxh3_64()
        for position, chunk in _chunks(store, key, part.bytes):
            state.update(chunk)
            _fill(manifest, part, position, chunk, tensors, rank_tensors)
        if state.hexdigest() == part.xxh3:
            return
    raise DamagedError(f"{name} was changed: its xxh3 is {state.hexdigest()}, {part.xxh3} was written down")


def _chunks(store: Store, key: str, size: int) -> Iterator[tuple[int, bytes]]:
    """The object in pieces, each with its position."""
    try:
        for start in range(0, size, _CHUNK):
            yield start, store.get_range(key, start, min(size, start + _CHUNK))
    except NotFound as error:
        raise DamagedError(f"{key.rpartition('/')[2]} is missing") from error


def _fill(
    manifest: Manifest,
    part: Part,
    position: int,
    chunk: bytes,
    tensors: Sequence[torch.Tensor],
    rank_tensors: Sequence[torch.Tensor],
) -> None:
    """Copy `chunk`, which begins at `position` of the part, to where its bytes belong."""
    data = np.frombuffer(chunk, dtype=np.uint8)
    shared = data[: max(0, part.end - part.start - position)]
    own = data[len(shared) :]
    low = part.start + position
    own_low = position + len(shared) - (part.end - part.start)
    for piece in pieces(manifest.tensors, tensors, low, low + len(shared)):
        piece.bytes.numpy()[:] = shared[piece.position : piece.position + piece.bytes.numel()]
    for piece in pieces(part.tensors, rank_tensors, own_low, own_low + len(own)):
        piece.bytes.numpy()[:] = own[piece.position : piece.position + piece.bytes.numel()]
