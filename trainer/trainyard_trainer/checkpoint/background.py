"""One thread that does the slow part of saving."""

import queue
import threading
from collections.abc import Callable


class Background:
    """Runs tasks one after another in a daemon thread, and keeps the first failure for the caller to see.

    A daemon, so that a rank that fails doesn't wait at its end for peers that are gone.
    """

    def __init__(self, name: str) -> None:
        self._tasks: queue.Queue[Callable[[], None]] = queue.Queue()
        self._failure: BaseException | None = None
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, task: Callable[[], None]) -> None:
        self._tasks.put(task)

    def raise_failure(self) -> None:
        """Raise what a task raised since the last call, if any did."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def wait(self) -> None:
        """Return when every task is done; raises like `raise_failure`."""
        self._tasks.join()
        self.raise_failure()

    def _run(self) -> None:
        while True:
            self._do(self._tasks.get())

    def _do(self, task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException as error:  # noqa: BLE001 - told to the caller by raise_failure
            self._failure = self._failure or error
        finally:
            self._tasks.task_done()
