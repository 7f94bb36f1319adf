"""How long each stage of a run took: times.json, which the report shows."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from trainyard_api.errors import TrainyardError
from trainyard_storage import Store

KEY = "times.json"


@contextmanager
def timed(store: Store, stage: str) -> Iterator[None]:
    """Add the seconds spent in the block to those of `stage`: a stage that was interrupted has several parts."""
    began = time.monotonic()
    yield
    with suppress(TrainyardError, OSError):  # how the stage ended must not be hidden by what can't be written here
        spent = store.get_json(KEY) or {}
        store.put_json(KEY, {**spent, stage: round(spent.get(stage, 0.0) + time.monotonic() - began, 3)})
