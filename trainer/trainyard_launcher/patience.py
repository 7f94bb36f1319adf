"""Trying again what a moment may cure."""

import time
from collections.abc import Callable
from typing import TypeVar

from trainyard_api.errors import ExitCode, TrainyardError

PATIENCE_SECONDS = 60.0
_PAUSE = 2.0

T = TypeVar("T")


def patiently(action: Callable[[], T], told: Callable[[str], object], seconds: float) -> T:
    """The result of `action`, tried for `seconds` as long as only infrastructure fails: storage, say.

    `told` hears what is waited for. Raises the last TrainyardError, any other at once.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except TrainyardError as error:
            if error.code != ExitCode.INFRASTRUCTURE or time.monotonic() + _PAUSE > deadline:
                raise
            told(f"{error.where or 'what failed'}: {error.what}")
            time.sleep(_PAUSE)
