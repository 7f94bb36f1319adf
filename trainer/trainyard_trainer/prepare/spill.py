"""Rows sorted by a hash key without holding them in memory: a distribution sort over files in a scratch folder.

Keys are uniform, so the top bits of the key divide the rows into buckets of equal size. Every bucket fits in memory,
and the buckets one after another are the rows in order. The number of buckets doesn't change that order.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

KEY, KEY2, MISSING, GIVEN = "__trainyard_key", "__trainyard_key2", "__trainyard_missing", "__trainyard_given"
_FLUSH_BYTES = 160 * 1024 * 1024
_MAX_BITS = 10  # with more, a large set would end in millions of small files


@dataclass
class Bucket:
    """The rows whose keys share their top bits, unsorted."""

    columns: list[str]  # of every part
    parts: list[Path] = field(default_factory=list)

    def read(self, columns: list[str]) -> pl.DataFrame:
        """Some columns of all rows."""
        # By place: Polars takes names like `*` for patterns.
        places = [self.columns.index(name) for name in columns]
        return pl.concat([pl.read_ipc(part, columns=places) for part in self.parts], rechunk=True)[columns]


class Spill:
    """Takes rows with a `KEY` column (uint64) in any order and writes them into buckets under `folder`."""

    def __init__(self, folder: Path, expected_bytes: int, bucket_bytes: int = 96 * 1024 * 1024) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._bits = min(_MAX_BITS, max(0, int(np.ceil(np.log2(max(1, expected_bytes / bucket_bytes))))))
        self._columns: list[str] = []
        self._buckets = [Bucket(self._columns) for _ in range(1 << self._bits)]
        self._waiting: list[pl.DataFrame] = []
        self._waiting_bytes = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Take rows; written out once 160 MB have come together."""
        self._waiting.append(frame)
        self._waiting_bytes += int(frame.estimated_size())
        if self._waiting_bytes >= _FLUSH_BYTES:
            self._flush()

    def finish(self) -> list[Bucket]:
        """The buckets that hold rows, in the order of their keys."""
        self._flush()
        return [bucket for bucket in self._buckets if bucket.parts]

    def _flush(self) -> None:
        if not self._waiting:
            return
        rows = pl.concat(self._waiting, rechunk=True)  # gathering from many chunks is many times slower
        self._waiting, self._waiting_bytes = [], 0
        self._columns[:] = rows.columns
        number = _top_bits(rows[KEY].to_numpy(), self._bits)
        order = np.argsort(number, kind="stable")
        rows = rows[order]
        ends = np.searchsorted(number[order], np.arange(len(self._buckets)), side="right")
        start = 0
        for index, (bucket, end) in enumerate(zip(self._buckets, ends.tolist(), strict=True)):
            if end > start:
                part = self._folder / f"{index:04}-{len(bucket.parts):04}.arrow"
                bucket.parts.append(part)
                rows[start:end].write_ipc(part, compression="uncompressed")
            start = end


def _top_bits(keys: NDArray[np.uint64], bits: int) -> NDArray[np.uint16]:
    return (keys >> np.uint64(64 - bits)).astype(np.uint16) if bits else np.zeros(len(keys), np.uint16)
