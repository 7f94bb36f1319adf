"""Canonical JSON: one value, one sequence of bytes, so that digests of documents can be compared."""

import json
from typing import Any


def canonical_json(value: Any) -> bytes:
    """`value` as UTF-8 JSON with sorted keys, no spaces, and floats by `repr` (the shortest that reads back the same).

    Raises ValueError for NaN and infinities (JSON has none) and TypeError for what JSON can't hold.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()
