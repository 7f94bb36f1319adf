"""Parquet shards of fixed numbers of rows, written to local disk by background threads."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from trainyard_api.documents import Shard
from trainyard_storage import digest
from trainyard_trainer.prepare.split import NAMES, TRAIN
from trainyard_trainer.sources.named import unnamed

SHARD_BYTES = 8 * 1024 * 1024
TRAIN_SHARDS = 8
_WAITING = 2


def rows_per_shard(rows: int, row_bytes: int, *, at_least: int) -> int:
    """Rows of each shard but the last: 8 MB or fewer, and at least `at_least` shards where there are as many rows."""
    by_count = rows // at_least if rows >= at_least else 1
    return max(1, min(by_count, SHARD_BYTES // max(1, row_bytes)))


@dataclass
class ShardWriter:
    """Cuts the rows it's given, in order, into shards `<folder>/part-00000.parquet`, ... under `root`."""

    root: Path
    folder: str
    rows: int  # per shard
    pool: ThreadPoolExecutor
    _frames: list[pl.DataFrame] = field(default_factory=list)
    _held: int = 0
    _jobs: deque[Future[Shard]] = field(default_factory=deque)
    _shards: list[Shard] = field(default_factory=list)

    def add(self, frame: pl.DataFrame) -> None:
        """Take rows. Blocks while two shards wait to be written."""
        if frame.is_empty():
            return
        self._frames.append(frame)
        self._held += frame.height
        if self._held < self.rows:
            return
        held = pl.concat(self._frames)
        full = held.height // self.rows * self.rows
        for start in range(0, full, self.rows):
            self._submit(held[start : start + self.rows])
        rest = held[full:]
        self._frames, self._held = ([rest], rest.height) if rest.height else ([], 0)

    def beside(self, folder: str) -> "ShardWriter":
        """A writer into another folder that cuts where this one does."""
        return ShardWriter(self.root, folder, self.rows, self.pool)

    def finish(self) -> list[Shard]:
        """Write what is left; the shards in order."""
        if self._held:
            self._submit(pl.concat(self._frames))
        self._frames, self._held = [], 0
        self._shards += [job.result() for job in self._jobs]
        self._jobs.clear()
        return self._shards

    def _submit(self, frame: pl.DataFrame) -> None:
        while len(self._jobs) >= _WAITING:
            self._shards.append(self._jobs.popleft().result())
        key = f"{self.folder}/part-{len(self._shards) + len(self._jobs):05}.parquet"
        self._jobs.append(self.pool.submit(self._write, frame, key))

    def _write(self, frame: pl.DataFrame, key: str) -> Shard:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.rechunk().write_parquet(
            path,
            compression="lz4",
            statistics=False,
            row_group_size=frame.height,
        )
        data = path.read_bytes()
        return Shard(key=key, rows=frame.height, bytes=len(data), textBytes=_text_bytes(frame), xxh3=digest(data))


def _text_bytes(frame: pl.DataFrame) -> int:
    return sum(
        int((column.bin.size() if column.dtype == pl.Binary else column.str.len_bytes()).sum())
        for column in map(unnamed, frame)
        if column.dtype in (pl.Binary, pl.String)
    )


@contextmanager
def split_writers(root: Path, counts: list[int], row_bytes: int) -> Iterator[list[ShardWriter]]:
    """A writer for each split of `counts` rows, over a pool of threads that ends with the block."""
    with ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1))) as pool:
        yield [
            ShardWriter(
                root,
                name,
                rows_per_shard(count, row_bytes, at_least=TRAIN_SHARDS if split == TRAIN else 1),
                pool,
            )
            for split, (name, count) in enumerate(zip(NAMES, counts, strict=True))
        ]
