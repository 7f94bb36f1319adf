"""Dynamic batching without a delay of its own: requests wait only while a run is active, then run together."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from trainyard_server.tensors import Tensor

Arrays = dict[str, Tensor]


class QueueFull(Exception):
    """More requests wait for a run than the queue may hold."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One request's arrays, [rows, ...] each, and where its answer goes."""

    inputs: Arrays
    rows: int
    answer: "asyncio.Future[Arrays]"


class Batcher:
    """Runs together, in one go, the requests that came while the last run was active.

    A run takes place in a thread, so that others are heard meanwhile; but one of at most `inline_rows` rows, known to
    be short, on the event loop itself: two changes of thread would take longer than the run. While `alone` says that
    no other request is at hand to join it, such a run doesn't even wait for the loop's next round.
    """

    def __init__(
        self,
        run: Callable[[Arrays], Arrays],
        max_rows: int,
        max_requests: int,
        inline_rows: int = 0,
        on_run: Callable[[int], None] = lambda rows: None,
        alone: Callable[[], bool] = lambda: False,
    ) -> None:
        self._run = run
        self._max_rows = max_rows
        self._max_requests = max_requests
        self._inline_rows = inline_rows
        self._on_run = on_run
        self._alone = alone
        self._queue: deque[Waiting] = deque()
        self._active = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="onnxruntime")

    def __len__(self) -> int:
        """Requests that wait."""
        return len(self._queue)

    async def infer(self, inputs: Arrays, rows: int) -> Arrays:
        """Answer for `rows` rows, batched with whoever waits too; QueueFull if too many do."""
        if len(self._queue) >= self._max_requests:
            raise QueueFull
        if rows <= self._inline_rows and not self._active and self._alone():
            self._on_run(rows)
            return self._run(inputs)
        loop = asyncio.get_running_loop()
        waiting = Waiting(inputs, rows, loop.create_future())
        self._queue.append(waiting)
        if not self._active:
            self._active = True
            loop.call_soon(self._start)  # after what is already at hand: it joins this run
        return await waiting.answer

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _start(self) -> None:
        batch = self._take()
        self._active = bool(batch)
        if not batch:
            return
        rows = sum(waiting.rows for waiting in batch)
        self._on_run(rows)
        loop = asyncio.get_running_loop()
        if rows <= self._inline_rows:
            self._finish(batch, self._run_batch(batch))
            loop.call_soon(self._start)
        else:
            run = loop.run_in_executor(self._thread, self._run_batch, batch)
            run.add_done_callback(lambda done: self._start())
            run.add_done_callback(lambda done: self._finish(batch, done.result()))

    def _take(self) -> list[Waiting]:
        """Requests from the queue's head that fit together; a large one goes alone. Those given up are left out."""
        batch: list[Waiting] = []
        rows = 0
        while self._queue and (not batch or rows + self._queue[0].rows <= self._max_rows):
            waiting = self._queue.popleft()
            if not waiting.answer.done():
                batch.append(waiting)
                rows += waiting.rows
        return batch

    def _run_batch(self, batch: list[Waiting]) -> list[Arrays | Exception]:
        try:
            if len(batch) == 1:
                return [self._run(batch[0].inputs)]
            together = {name: np.concatenate([w.inputs[name] for w in batch]) for name in batch[0].inputs}
            return list(_divide(self._run(together), [w.rows for w in batch]))
        except Exception as error:  # noqa: BLE001 - onnxruntime's errors share no base class
            if len(batch) == 1:
                return [error]
        return [answer for waiting in batch for answer in self._run_batch([waiting])]  # one must not fail the others

    @staticmethod
    def _finish(batch: list[Waiting], answers: list[Arrays | Exception]) -> None:
        for waiting, answer in zip(batch, answers, strict=True):
            if waiting.answer.done():  # its client has gone
                continue
            if isinstance(answer, Exception):
                waiting.answer.set_exception(answer)
            else:
                waiting.answer.set_result(answer)


def _divide(outputs: Arrays, rows: list[int]) -> list[Arrays]:
    ends = np.cumsum(rows)[:-1]
    pieces = {name: np.split(array, ends) for name, array in outputs.items()}
    return [{name: parts[i] for name, parts in pieces.items()} for i in range(len(rows))]
