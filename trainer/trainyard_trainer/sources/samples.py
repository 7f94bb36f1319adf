"""Decoded samples, gathered into table rows."""

from collections.abc import Iterable, Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainyard_trainer.sources.decode import ArraySpec

_PIECE_BYTES = 16 * 1024 * 1024


def sample_schema(tensor: str, target: str, spec: ArraySpec) -> pl.Schema:
    """One column with the array and one with the class as text."""
    return pl.Schema({tensor: pl.Array(_polars_type(spec), spec.shape), target: pl.String()})


def gather(
    samples: Iterable[tuple[NDArray[np.generic], str]], tensor: str, target: str, spec: ArraySpec
) -> Iterator[pl.DataFrame]:
    """Frames of at most 16 MB (at least one sample), so that memory stays flat whatever the source's size."""
    rows = max(1, _PIECE_BYTES // max(1, int(np.prod(spec.shape)) * spec.dtype.itemsize))
    arrays: list[NDArray[np.generic]] = []
    labels: list[str] = []
    for array, label in samples:
        arrays.append(array)
        labels.append(label)
        if len(arrays) == rows:
            yield _frame(arrays, labels, tensor, target, spec)
            arrays, labels = [], []
    if arrays:
        yield _frame(arrays, labels, tensor, target, spec)


def _frame(
    arrays: list[NDArray[np.generic]], labels: list[str], tensor: str, target: str, spec: ArraySpec
) -> pl.DataFrame:
    values = pl.Series(tensor, np.stack(arrays), dtype=pl.Array(_polars_type(spec), spec.shape))
    return pl.DataFrame([values, pl.Series(target, labels, dtype=pl.String)])


def _polars_type(spec: ArraySpec) -> pl.DataType:
    return pl.Series(np.empty(0, spec.dtype)).dtype
