"""`trainyard` as a person calls it, on a job in a folder of its own."""

import ctypes
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

TRAINYARD = str(Path(sys.executable).with_name("trainyard"))
_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2
_MARKERS = ("COMMITTED", "TRAINED.json", "PUBLISHED.json", "FINISHED.json", "manifest.json")

Ended = subprocess.CompletedProcess[str]


def write_job(folder: Path, **spec: Any) -> Path:
    """A manifest with `spec`, as job.yaml in `folder`."""
    manifest = {
        "apiVersion": "trainyard.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "bad"},
        "spec": spec,
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(manifest))
    return path


def trainyard(*arguments: str | Path, folder: Path, limit: Callable[[], None] | None = None, **environ: str) -> Ended:
    """Run the command in `folder` to its end. `limit` is called in the process before it becomes the command."""
    environment = {
        **os.environ,
        # With no room for it, Python 3.11 leaves a module's bytecode cut short, and later takes it for whole.
        **({"PYTHONDONTWRITEBYTECODE": "1"} if limit else {}),
        "OMP_NUM_THREADS": "1",
        "TRAINYARD_METRICS_PORT": "0",
        "XDG_CACHE_HOME": str(folder / "cache"),
        **environ,
    }
    command = [TRAINYARD, *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=environment, preexec_fn=limit, capture_output=True, text=True, timeout=300
    )


def plain(done: Ended, code: int, *said: str) -> None:
    """It ended with `code`, and a short message names all of `said`, without a traceback."""
    everything = done.stdout + done.stderr
    assert done.returncode == code, everything
    assert "Traceback" not in everything
    assert len(done.stderr.splitlines()) <= 12, done.stderr
    for part in said:
        assert part in done.stderr, done.stderr


def nothing_finished(folder: Path) -> None:
    """No marker stands anywhere under `folder`: nothing half-written would be taken for whole."""
    assert [str(path) for path in folder.rglob("*") if path.name in _MARKERS] == []


def like_anybody() -> None:
    """Take root's right to read everything away from the command that follows (prctl(2), capabilities(7))."""
    if os.getuid() == 0:
        for right in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
            ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, right, 0, 0, 0)


def files_of_at_most(size: int) -> Callable[[], None]:
    """A limit on the size of files, in bytes: it stands for a full disk."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
