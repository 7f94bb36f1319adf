"""Shards read ahead of the batches that need them, by threads (obstore's own threads don't survive a fork)."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Generic, TypeVar

from trainyard_trainer.data.order import Load

T = TypeVar("T")


class Prefetcher(Generic[T]):
    """Reads the shards of `loads`, in order, those of the first batch at once, later ones when `ahead` is called."""

    def __init__(self, loads: list[Load], read: Callable[[int], T], executor: Executor) -> None:
        self._queue = deque(loads)
        self._read = read
        self._executor = executor
        self._active: list[tuple[Load, Future[T]]] = []
        if loads:
            self._begin(loads[0].first, 0)

    @property
    def exhausted(self) -> bool:
        """Whether every read has been begun."""
        return not self._queue

    def shards(self, batch: int) -> dict[int, T]:
        """The shards that `batch` needs, when they're there; those that no later batch needs are let go.

        Raises what a read raised.
        """
        self._active = [(load, future) for load, future in self._active if load.last >= batch]
        self._begin(batch, 0)
        return {load.shard: future.result() for load, future in self._active if load.first <= batch}

    def ahead(self, batch: int, shards: int) -> None:
        """Begin reads for batches after `batch`, so that `shards` shards are read before they're needed."""
        self._begin(batch, shards - sum(load.first > batch for load, _ in self._active))

    def _begin(self, batch: int, more: int) -> None:
        """Begin what `batch` needs, and `more` reads after that."""
        while self._queue and (self._queue[0].first <= batch or more > 0):
            load = self._queue.popleft()
            more -= load.first > batch
            self._active.append((load, self._executor.submit(self._read, load.shard)))

    def close(self) -> None:
        """Drop what is read and what is still to be read."""
        self._queue.clear()
        for _, future in self._active:
            future.cancel()
        self._active.clear()
