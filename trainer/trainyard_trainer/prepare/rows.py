"""The rows of a data set in their final order, each with its split, without holding their values."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainyard_trainer.prepare.spill import Bucket
from trainyard_trainer.prepare.split import Assignment

Order = NDArray[np.uint32]


@dataclass
class Rows:
    """Rows by bucket: `order[i]` are the kept rows of `buckets[i]`, sorted; `split` is theirs, one after another.

    Memory: 5 bytes per row.
    """

    buckets: list[Bucket]
    order: list[Order]
    split: Assignment

    def __len__(self) -> int:
        return len(self.split)

    def pieces(self, columns: list[str]) -> Iterator[tuple[pl.DataFrame, Assignment]]:
        """The rows in order, a bucket at a time, with their splits."""
        start = 0
        for bucket, order in zip(self.buckets, self.order, strict=True):
            end = start + len(order)
            yield bucket.read(columns)[order], self.split[start:end]
            start = end

    def column(self, name: str, split: int | None = None) -> pl.Series:
        """One column of all rows, or of one split, in order. Held in memory: 8 bytes per number."""
        parts: list[pl.Series] = []
        start = 0
        for bucket, order in zip(self.buckets, self.order, strict=True):
            chosen = order if split is None else order[self.split[start : start + len(order)] == split]
            parts.append(bucket.read([name])[chosen].to_series())
            start += len(order)
        return pl.concat(parts).rechunk()

    def counts(self) -> list[int]:
        """Rows of training, validation and test."""
        return np.bincount(self.split, minlength=256)[:3].tolist()  # type: ignore[no-any-return]
