"""Ranks of one job as threads of the test, without torch.distributed."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
Broadcast = Callable[[Any], Any]


def run_ranks(world: int, work: Callable[[int, Broadcast], T]) -> list[T]:
    """Call `work(rank, broadcast)` for every rank at once, and give what each returns."""
    barrier = threading.Barrier(world)
    slot: list[Any] = [None]

    def broadcast_of(rank: int) -> Broadcast:
        def broadcast(value: Any) -> Any:
            if rank == 0:
                slot[0] = value
            barrier.wait(60)
            told = slot[0]
            barrier.wait(60)
            return told

        return broadcast

    with ThreadPoolExecutor(world) as pool:
        return [call.result() for call in [pool.submit(work, rank, broadcast_of(rank)) for rank in range(world)]]
