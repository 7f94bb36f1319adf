"""In which order samples are seen: a pure function of data set, seed, epoch and batch size, never of the world size.

An epoch permutes the shards, then the samples inside windows of consecutive shards; that gives positions 0..N-1. The
positions are cut into L lanes, contiguous pieces whose lengths differ by at most one, and every global batch takes
batch_size / L consecutive positions from each lane. A rank takes a slice of the batch, so it reads the shards of its
own lanes only, and another world size changes no batch. When a lane is at its end, its last sample is repeated with
weight 0, so that every rank has equally many batches.

The random bits are Philox's raw output, which NumPy keeps stable over versions (NEP 19), sorted by NumPy; so the order
is the same on every machine and in every process.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainyard_api.canonical import canonical_json
from trainyard_storage import digest128

MAX_LANES = 64
BLOCK = 16  # batches worked out at a time

Rows = NDArray[np.int64]
"""Samples by their number in the split: shard after shard as the manifest lists them, row after row."""


Weights = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Load:
    """A shard, needed from batch `first` to batch `last`."""

    first: int
    shard: int
    last: int


class SampleOrder:
    """The order of one split."""

    def __init__(
        self,
        rows: Sequence[int],
        *,
        dataset_hash: str,
        seed: int,
        batch_size: int,
        mixed_shards: int = MAX_LANES,
        shuffle: bool = True,
    ) -> None:
        """`rows`: samples of each shard; `mixed_shards`: shards from which a batch is drawn, if there are so many.

        Without `shuffle` the samples come in the manifest's order, and every rank reads every shard.
        """
        self.offsets = np.concatenate([[0], np.cumsum(rows, dtype=np.int64)])
        self.samples = int(self.offsets[-1])
        self.batch_size = batch_size
        self.shuffle = shuffle
        self._key = [dataset_hash, seed]
        self._shards = np.flatnonzero(np.asarray(rows, dtype=np.int64))
        open_shards = max(1, min(mixed_shards, len(self._shards))) if shuffle else 1
        self.lanes = _lanes(batch_size, open_shards)
        self.window = open_shards // self.lanes
        longest = math.ceil(self.samples / self.lanes)
        self.batches = math.ceil(longest / (batch_size // self.lanes))

    def epoch(self, epoch: int) -> "EpochOrder":
        """The order in which epoch `epoch` (from 0) sees the samples."""
        shards = self._shards[self.permutation(len(self._shards), epoch, "shards")] if self.shuffle else self._shards
        return EpochOrder(self, epoch, shards)

    def permutation(self, count: int, *purpose: Any) -> Rows:
        """A permutation of 0..count-1, the same for the same purpose. Takes O(count log count)."""
        name = canonical_json([*self._key, *purpose])
        bits = np.random.Philox(key=int(digest128(name), 16)).random_raw(count)
        # The low bits carry the number itself: no two keys are equal, so any sort gives the same answer.
        low = np.uint64((1 << max(1, count).bit_length()) - 1)
        keys = (bits & ~low) | np.arange(count, dtype=np.uint64)
        keys.sort()
        return (keys & low).astype(np.int64)


class EpochOrder:
    """The order of one epoch. Windows are permuted when they're reached: a late batch costs what an early one does."""

    def __init__(self, order: SampleOrder, epoch: int, shards: Rows) -> None:
        self._order = order
        self._epoch = epoch
        self._shards = shards
        sizes = order.offsets[shards + 1] - order.offsets[shards]
        ends = np.cumsum(sizes)
        last = np.arange(order.window, len(shards) + order.window, order.window).clip(max=len(shards)) - 1
        self._window_ends: list[int] = ends[last].tolist() if len(shards) else []
        self._windows: dict[int, Rows] = {}
        self._part = (-1, 0, 0)
        self._block: tuple[Rows, Weights]
        self._per_lane = order.batch_size // order.lanes
        self._lane_starts: list[int] = (np.arange(order.lanes + 1) * order.samples // order.lanes).tolist()

    def batch(self, index: int, start: int = 0, end: int | None = None) -> tuple[Rows, Weights]:
        """Samples and weights of elements [start, end) of batch `index`. Weight 1, or 0 for padding."""
        part = (index // BLOCK, start, self._order.batch_size if end is None else end)
        if part != self._part:
            self._part, self._block = part, self._batches(*part)
        rows, weights = self._block
        return rows[index % BLOCK], weights[index % BLOCK].copy()

    def _batches(self, block: int, start: int, end: int) -> tuple[Rows, Weights]:
        """Elements [start, end) of each batch of block `block`: [batches, end - start]."""
        first = block * BLOCK
        count = min(BLOCK, self._order.batches - first)
        rows = np.empty((count, end - start), np.int64)
        weights = np.ones((count, end - start), np.float32)
        size = self._per_lane
        for lane, low, high in self._slices(start, end):
            begin, length = self._lane(lane)
            positions = range(first * size, min((first + count) * size, length))
            real = self._positions(begin + positions.start, begin + positions.stop)
            (last,) = self._positions(begin + length - 1, begin + length)
            padding = np.repeat(last, count * size - len(positions))
            place = slice(lane * size + low - start, lane * size + high - start)
            rows[:, place] = np.concatenate([*real, padding]).reshape(count, size)[:, low:high]
            if len(padding):
                weight = np.arange(count * size) < len(positions)
                weights[:, place] = weight.reshape(count, size)[:, low:high]
        return rows, weights

    def real_samples(self, index: int) -> int:
        """Samples in the whole of batch `index`, padding left out."""
        size = self._per_lane
        if (index + 1) * size <= self._order.samples // self._order.lanes:
            return self._order.batch_size
        lengths = np.diff(self._lane_starts) - index * size
        return int(lengths.clip(0, size).sum())

    def loads(self, start: int, end: int, first_batch: int = 0) -> list[Load]:
        """The shards behind elements [start, end) of every batch from `first_batch` on, by first need."""
        needs: dict[int, list[tuple[int, int]]] = {}
        for lane, low, high in self._slices(start, end):
            for window, first, last in self._lane_windows(lane, low, high):
                if last >= first_batch:
                    for shard in self._window_shards(window):
                        needs.setdefault(int(shard), []).append((max(first, first_batch), last))
        return sorted(
            (
                Load(first, shard, last)
                for shard, spans in needs.items()
                for first, last in _merged(spans, self._order.batches)
            ),
            key=lambda load: (load.first, load.last, load.shard),
        )

    def _lane(self, lane: int) -> tuple[int, int]:
        begin = self._lane_starts[lane]
        return begin, self._lane_starts[lane + 1] - begin

    def _slices(self, start: int, end: int) -> list[tuple[int, int, int]]:
        """(lane, low, high): elements [start, end) of a batch are elements [low, high) of each lane's part."""
        size = self._per_lane
        lanes = range(start // size, -(-end // size) if end > start else start // size)
        return [(lane, max(start - lane * size, 0), min(end - lane * size, size)) for lane in lanes]

    def _lane_windows(self, lane: int, low: int, high: int) -> list[tuple[int, int, int]]:
        """(window, first batch, last batch): where elements [low, high) of the lane's part of each batch come from."""
        begin, length = self._lane(lane)
        found = []
        position = 0
        while position < length:
            window = bisect_right(self._window_ends, begin + position)
            stop = min(self._window_ends[window] - begin, length)
            first = max(0, -(-(position - high + 1) // self._per_lane))
            last = (stop - 1 - low) // self._per_lane
            if stop == length:
                last = self._order.batches - 1  # it also gives the padding
            if first <= last:
                found.append((window, first, last))
            position = stop
        return found

    def _window_shards(self, window: int) -> Rows:
        size = self._order.window
        return self._shards[window * size : (window + 1) * size]

    def _positions(self, begin: int, end: int) -> list[Rows]:
        """The samples at positions [begin, end) of the epoch, in pieces."""
        pieces = []
        while begin < end:
            window = bisect_right(self._window_ends, begin)
            rows = self._window(window)
            offset = self._window_ends[window] - len(rows)
            stop = min(end, offset + len(rows))
            pieces.append(rows[begin - offset : stop - offset])
            begin = stop
        return pieces

    def _window(self, window: int) -> Rows:
        rows = self._windows.get(window)
        if rows is None:
            offsets = self._order.offsets
            shards = self._window_shards(window)
            rows = np.concatenate([np.arange(offsets[shard], offsets[shard + 1]) for shard in shards])
            if self._order.shuffle:
                rows = rows[self._order.permutation(len(rows), self._epoch, "window", window)]
            # Each lane is in one window, at most on the border of two.
            while len(self._windows) > 2 * self._order.lanes:
                del self._windows[next(iter(self._windows))]
            self._windows[window] = rows
        return rows


def _lanes(batch_size: int, shards: int) -> int:
    """The largest power of two that divides `batch_size` and is at most `shards` and MAX_LANES."""
    lanes = batch_size & -batch_size
    while lanes > min(shards, MAX_LANES):
        lanes //= 2
    return max(1, lanes)


def _merged(spans: list[tuple[int, int]], batches: int) -> list[tuple[int, int]]:
    """Spans of batches, those that overlap or touch made one."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        last = min(last, batches - 1)
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged
