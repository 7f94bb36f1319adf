"""The longest time that a launch may take: spec.activeDeadlineSeconds."""

import math
import time


class Deadline:
    """A moment `seconds` from now, by a clock that nobody sets; None: never."""

    def __init__(self, seconds: float | None) -> None:
        self.at = math.inf if seconds is None else time.monotonic() + seconds

    def passed(self) -> bool:
        """Whether it is over."""
        return time.monotonic() > self.at
