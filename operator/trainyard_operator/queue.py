"""Which jobs have to be looked at, each once however often it changed, and never by two workers at a time."""

import asyncio
import heapq
import random
import time
from collections import deque

from trainyard_operator.names import Key

_FIRST_SECONDS = 0.5
_MOST_SECONDS = 60.0


class Queue:
    """Keys to work on. All of it belongs to one event loop."""

    def __init__(self) -> None:
        self._ready: deque[Key] = deque()
        self._waiting: set[Key] = set()  # in _ready
        self._busy: dict[Key, float] = {}  # taken, and when
        self._again: set[Key] = set()  # changed while busy
        self._later: list[tuple[float, Key]] = []
        self._due: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._wake = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, key: Key) -> None:
        """Have `key` looked at as soon as may be."""
        if key in self._busy:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.append(key)
            self._wake.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """Have `key` looked at in `seconds`, or earlier if it's due earlier."""
        due = time.monotonic() + seconds
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._later, (due, key))
            self._wake.set()

    def fail(self, key: Key, at_least: float = 0.0) -> None:
        """Have `key` looked at again after a wait that doubles with each failure in a row, up to a minute."""
        count = self._failures[key] = self._failures.get(key, 0) + 1
        wait = min(_MOST_SECONDS, _FIRST_SECONDS * 2 ** min(count - 1, 10))
        self.add_after(key, max(at_least, wait * random.uniform(0.75, 1.25)))

    def succeed(self, key: Key) -> None:
        """Forget the failures of `key`."""
        self._failures.pop(key, None)

    def close(self) -> None:
        """Give out no more keys: whoever takes one gets None."""
        self._closed = True
        self._wake.set()

    async def take(self) -> Key | None:
        """The next key, to be given back with `done`; None: the queue is closed."""
        while not self._closed:
            self._promote()
            if self._ready:
                key = self._ready.popleft()
                self._waiting.discard(key)
                self._busy[key] = time.monotonic()
                return key
            self._wake.clear()
            wait = self._later[0][0] - time.monotonic() if self._later else None
            try:
                await asyncio.wait_for(self._wake.wait(), wait)
            except TimeoutError:
                continue
        self._wake.set()  # the next one that waits has to see it too
        return None

    def done(self, key: Key) -> None:
        """The work on `key` is over; if it changed meanwhile it comes again."""
        del self._busy[key]
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def stuck_seconds(self) -> float:
        """How long the work on the oldest key has been going on."""
        return time.monotonic() - min(self._busy.values()) if self._busy else 0.0

    def _promote(self) -> None:
        moment = time.monotonic()
        while self._later and self._later[0][0] <= moment:
            due, key = heapq.heappop(self._later)
            if self._due.get(key) == due:  # else an earlier time took its place
                del self._due[key]
                self.add(key)
