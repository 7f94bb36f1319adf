"""kustomize, which is also in kubectl and Flux. `python -m support.kustomize` gets it, and prints where it is."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from support import go

VERSION = "v5.8.1"


def binary() -> Path:
    """The program: $TRAINYARD_KUSTOMIZE, or the cache's. Raises RuntimeError if it can't be built."""
    if named := os.environ.get("TRAINYARD_KUSTOMIZE"):
        return Path(named)
    return go.installed("sigs.k8s.io/kustomize/kustomize/v5", VERSION)


def build(folder: Path) -> list[dict[str, Any]]:
    """The objects of the kustomization in `folder`. Raises AssertionError with kustomize's words."""
    done = subprocess.run([str(binary()), "build", str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{binary()}\n")
    except RuntimeError as error:
        sys.exit(str(error))
