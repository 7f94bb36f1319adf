"""A person's or the system's wish that the job stop: the first signal asks, the second insists."""

import signal
import threading
import time
from types import FrameType
from typing import Any

from trainyard_api.errors import ExitCode

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Notes SIGINT, SIGTERM and SIGHUP while it is entered, instead of being ended by them."""

    def __init__(self) -> None:
        self.count = 0
        self.since = 0.0  # time.monotonic() of the first
        self.code = ExitCode.OK
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self.count:
            self.since = time.monotonic()
            self.code = ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.TERMINATED
        self.count += 1
