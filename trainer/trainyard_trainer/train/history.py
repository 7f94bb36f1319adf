"""history.jsonl: one line per epoch."""

import json
from datetime import UTC, datetime
from typing import Any

from trainyard_storage import Store

KEY = "history.jsonl"


def write_history(run: Store, history: list[dict[str, Any]]) -> None:
    """Write all lines anew: readers never see a part of one, and epochs trained again after a restart don't double."""
    run.put(KEY, "".join(json.dumps(row) + "\n" for row in history).encode())


def now() -> str:
    """The time in RFC 3339."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
