"""kustomize, which also stands in kubectl and in Flux."""

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from support import go

VERSION = "v5.8.1"


def build(folder: Path) -> list[dict[str, Any]]:
    """The objects of the kustomization in `folder`. Raises AssertionError with kustomize's words."""
    named = os.environ.get("TRAINYARD_KUSTOMIZE")
    program = named or str(go.installed("sigs.k8s.io/kustomize/kustomize/v5", VERSION))
    done = subprocess.run([program, "build", str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))
