"""Batching: no delay of its own, nobody gets another's answer, a bounded queue, one failure harms no other."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainyard_server.batcher import Arrays, Batcher, QueueFull


class Model:
    """Doubles `x`; each run waits until it's let go; a row of -1 fails."""

    def __init__(self, free: bool = False) -> None:
        self.go = threading.Semaphore(10**6 if free else 0)
        self.entered = threading.Semaphore(0)
        self.runs: list[int] = []

    def __call__(self, inputs: Arrays) -> Arrays:
        self.entered.release()
        assert self.go.acquire(timeout=20)
        self.runs.append(len(inputs["x"]))
        if (inputs["x"] < 0).any():
            raise ValueError("negative")
        return {"y": inputs["x"] * 2}


def x(*values: float) -> Arrays:
    return {"x": np.array(values)}


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(test(), 30)

    asyncio.run(bounded())


async def started(model: Model) -> None:
    assert await asyncio.to_thread(model.entered.acquire, timeout=20)


def test_first_runs_alone_at_once_and_the_rest_together() -> None:
    async def test() -> None:
        model = Model()
        batcher = Batcher(model, max_rows=100, max_requests=10)
        first = asyncio.create_task(batcher.infer(x(1), 1))
        await started(model)
        others = [asyncio.create_task(batcher.infer(x(i, i), 2)) for i in range(5)]
        await asyncio.sleep(0)
        assert len(batcher) == 5
        model.go.release(2)
        assert (await first)["y"].tolist() == [2]
        assert [(await other)["y"].tolist() for other in others] == [[2 * i, 2 * i] for i in range(5)]
        assert model.runs == [1, 10]

    run(test)


def test_full_queue_refuses_and_recovers() -> None:
    async def test() -> None:
        model = Model()
        batcher = Batcher(model, max_rows=100, max_requests=2)
        tasks = [asyncio.create_task(batcher.infer(x(0), 1))]
        await started(model)
        tasks += [asyncio.create_task(batcher.infer(x(i), 1)) for i in (1, 2)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await batcher.infer(x(3), 1)
        model.go.release(100)
        await asyncio.gather(*tasks)
        assert (await batcher.infer(x(3), 1))["y"].tolist() == [6]

    run(test)


def test_one_failure_harms_no_other() -> None:
    async def test() -> None:
        model = Model()
        batcher = Batcher(model, max_rows=100, max_requests=10)
        first = asyncio.create_task(batcher.infer(x(1), 1))
        await started(model)
        bad = asyncio.create_task(batcher.infer(x(-1), 1))
        good = asyncio.create_task(batcher.infer(x(5), 1))
        model.go.release(100)
        await first
        assert (await good)["y"].tolist() == [10]
        with pytest.raises(ValueError, match="negative"):
            await bad

    run(test)


def test_who_has_gone_is_left_out() -> None:
    async def test() -> None:
        model = Model()
        batcher = Batcher(model, max_rows=100, max_requests=10)
        first = asyncio.create_task(batcher.infer(x(1), 1))
        await started(model)
        gone = asyncio.create_task(batcher.infer(x(2), 1))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        model.go.release(100)
        await first
        assert (await batcher.infer(x(3), 1))["y"].tolist() == [6]
        assert model.runs == [1, 1]

    run(test)


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=30), max_rows=st.integers(1, 20))
def test_everyone_gets_their_own_answer(sizes: list[int], max_rows: int) -> None:
    async def test() -> None:
        model = Model(free=True)
        batcher = Batcher(model, max_rows, max_requests=1000)
        inputs = [x(*(100 * i + np.arange(size))) for i, size in enumerate(sizes)]
        answers = await asyncio.gather(*(batcher.infer(a, len(a["x"])) for a in inputs))
        for given_, answer in zip(inputs, answers, strict=True):
            assert answer["y"].tolist() == (given_["x"] * 2).tolist()
        assert sum(model.runs) == sum(sizes)
        assert max(model.runs) <= max(max_rows, *sizes)

    run(test)
