"""One static program that is every part of Kubernetes, by the name it is called by: they share most of their code."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from support import go
from support.control_plane.versions import BUILT_NAMES, CACHE, KUBERNETES

FOLDER = CACHE / f"kubernetes-{KUBERNETES}-built"
PROGRAM = "kubernetes"
_SOURCE = Path(__file__).with_name("program")


def built() -> Path:
    """The folder with the program and its names, built from Go modules at the first call (10 to 15 minutes on 2 cores).

    Raises RuntimeError if it can't be built.
    """
    if not (FOLDER / BUILT_NAMES[-1]).exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            found = Path(scratch, "found")
            found.mkdir()
            _build(found / PROGRAM)
            for name in BUILT_NAMES:
                (found / name).symlink_to(PROGRAM)
            shutil.rmtree(FOLDER, ignore_errors=True)
            found.rename(FOLDER)
    return FOLDER


def _build(program: Path) -> None:
    version = "k8s.io/component-base/version"
    major, minor, _ = KUBERNETES.split(".")
    told = {"gitVersion": f"v{KUBERNETES}", "gitMajor": major, "gitMinor": minor}
    flags = " ".join(["-s -w", *(f"-X {version}.{name}={value}" for name, value in told.items())])
    done = subprocess.run(
        [go.command(), "build", "-buildvcs=false", "-trimpath", "-ldflags", flags, "-o", str(program), "."],
        cwd=_SOURCE,
        env={**os.environ, "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"Kubernetes can't be built: {done.stderr[-2000:]}")
