#!/usr/bin/env -S python3 -SE
"""runc, asked only for the capabilities that this process may grant; a runtime for docker.

Where even root lacks CAP_SYS_RESOURCE, `docker run --privileged` asks for it, and runc refuses the whole container.
"""

import itertools
import json
import os
import sys
from pathlib import Path
from typing import Any

MISSING = "CAP_SYS_RESOURCE"


def main(words: list[str]) -> None:
    """Become runc, called with `words`, once the container or process that they name asks for less."""
    for option, value in itertools.pairwise(words):
        if option in ("--bundle", "-b"):
            _change(Path(value, "config.json"), "process")
        elif option in ("--process", "-p"):
            _change(Path(value))
    os.execvp("runc", ["runc", *words])


def _change(path: Path, *keys: str) -> None:
    if path.exists():
        document = json.loads(path.read_text())
        held: dict[str, Any] = document
        for key in keys:
            held = held.get(key) or {}
        for values in (held.get("capabilities") or {}).values():
            if MISSING in (values or []):
                values.remove(MISSING)
        path.write_text(json.dumps(document))


main(sys.argv[1:])
