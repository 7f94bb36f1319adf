"""kube-score, a scanner for manifests. `python -m support.kube_score` gets it, and prints where it is."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from support import go

VERSION = "v1.20.0"
_PASSED = 10
# No limit on CPU: it would slow a burst of jobs, and the request keeps the operator's share.
_FLAGS = ("--output-format", "json", "--kubernetes-version", "v1.33", "--ignore-container-cpu-limit")


def binary() -> Path:
    """The program: $TRAINYARD_KUBE_SCORE, or the cache's. Raises RuntimeError if it can't be built."""
    if named := os.environ.get("TRAINYARD_KUBE_SCORE"):
        return Path(named)
    return go.installed("github.com/zegl/kube-score/cmd/kube-score", VERSION)


def findings(objects: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """What it says of `objects`, by check and object (kind/name)."""
    command = [str(binary()), "score", *_FLAGS, "-"]
    done = subprocess.run(command, input=yaml.safe_dump_all(objects), capture_output=True, text=True)
    if not done.stdout:
        raise RuntimeError(done.stderr)
    return {
        (check["check"]["id"], f"{each['type_meta']['kind']}/{each['object_meta']['name']}"): str(check["comments"])
        for each in json.loads(done.stdout)
        for check in each["checks"]
        if not check["skipped"] and check["grade"] < _PASSED
    }


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{binary()}\n")
    except RuntimeError as error:
        sys.exit(str(error))
