"""Batches, and how they're gathered from shards."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainyard_api.documents import FieldSpec
from trainyard_trainer.data.order import Rows
from trainyard_trainer.data.shards import Array, Column, Decoded, item_dtype


@dataclass(slots=True)
class Batch:
    """A rank's part of one global batch: n samples."""

    fields: dict[str, Array]
    """Each [n, ...]."""
    weight: NDArray[np.float32]
    """[n]: 1, or 0 for padding and for bad samples."""
    global_weight: float
    """Samples in the whole global batch, padding left out; the same on every rank."""
    index: int
    """Number of the batch in its epoch."""


def empty_columns(fields: Mapping[str, FieldSpec], rows: int) -> dict[str, Array]:
    """Arrays for `rows` samples."""
    return {name: np.empty((rows, *spec.shape), item_dtype(spec)) for name, spec in fields.items()}


def gather(
    rows: Rows, offsets: Rows, shards: Mapping[int, Decoded], fields: Mapping[str, FieldSpec]
) -> dict[str, Array]:
    """The values of samples `rows`, each [len(rows), ...], copied once. `offsets`: first sample of each shard."""
    found = empty_columns(fields, len(rows))
    owner = np.searchsorted(offsets, rows, side="right") - 1
    for shard in sorted(set(owner.tolist())):  # np.unique imports masked arrays: 30 ms before the first batch
        places = np.flatnonzero(owner == shard)
        local = rows[places] - offsets[shard]
        for name, values in found.items():
            copy_rows(shards[shard].columns[name], local, values, places)
    return found


def copy_rows(column: Column, rows: Rows, into: Array, places: Rows) -> None:
    """Set into[places] to column[rows]; `places` ascend."""
    if isinstance(column, list):
        for place, row in zip(places.tolist(), rows.tolist(), strict=True):
            value = column[row]
            into[place] = bytes(value) if isinstance(value, memoryview) else value
    elif len(places) and places[-1] - places[0] == len(places) - 1:
        np.take(column, rows, axis=0, out=into[places[0] : places[-1] + 1], mode="clip")
    else:
        into[places] = column[rows]


def decode_values(values: Array, decode: Callable[[bytes], Any]) -> tuple[Array, dict[int, str]]:
    """`values` (bytes) decoded: stacked if all have one shape, else an array of objects; and what failed, by place."""
    decoded: list[Any] = []
    failures: dict[int, str] = {}
    for place, value in enumerate(values):
        try:
            decoded.append(np.asarray(decode(value)))
        except Exception as error:  # noqa: BLE001 - the user's decoder may raise anything
            failures[place] = f"{type(error).__name__}: {error}"
            decoded.append(None)
    good = next((value for value in decoded if value is not None), np.zeros(0))
    decoded = [good if value is None else value for value in decoded]
    if len({(value.shape, value.dtype) for value in decoded}) == 1:
        return np.stack(decoded), failures
    found = np.empty(len(decoded), object)
    found[:] = decoded
    return found, failures
