"""Jobs started as people start them: `trainyard run` in a process of its own, with everything below one folder."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from trainyard_launcher.processes import descendants


@dataclass
class Ended:
    """What a finished command said."""

    code: int
    out: str
    err: str


class ScriptJob:
    """A manifest with a program of its own, in `folder`."""

    def __init__(self, folder: Path, program: str, **spec: Any) -> None:
        self.folder = folder
        self.storage = "runs"
        (folder / "train.py").write_text(textwrap.dedent(program))
        manifest = {
            "apiVersion": "trainyard.dev/v1alpha1",
            "kind": "TrainingJob",
            "metadata": {"name": "job"},
            "spec": {"script": {"command": ["train.py"]}, **spec},
        }
        (folder / "job.yaml").write_text(yaml.safe_dump(manifest))

    def start(self, **environment: str) -> subprocess.Popen[str]:
        """`trainyard run job.yaml`, in a process group of its own, like a shell's job."""
        return subprocess.Popen(
            [sys.executable, "-m", "trainyard_cli.main", "run", "job.yaml", "--storage", self.storage],
            cwd=self.folder,
            env={
                **os.environ,
                "XDG_CACHE_HOME": str(self.folder / "cache"),
                "OMP_NUM_THREADS": "1",
                "TRAINYARD_METRICS_PORT": "0",
                "TRAINYARD_TERMINATION_LOG": str(self.folder / "termination.json"),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, **environment: str) -> Ended:
        """Start it and wait for its end."""
        return end_of(self.start(**environment))

    @contextmanager
    def running(self, **environment: str) -> Iterator[subprocess.Popen[str]]:
        """Start it; at the end of the block nothing of it is left, whatever happened."""
        process = self.start(**environment)
        family: list[int] = []
        try:
            yield process
        finally:
            family = descendants(process.pid)
            for pid in (process.pid, *family):
                with_no_fuss(pid)
            process.wait()

    @property
    def runtime(self) -> Path:
        """The runtime folder of the only run there is."""
        (folder,) = (self.folder / "cache" / "trainyard" / "runtime").iterdir()
        return folder

    @property
    def run_folder(self) -> Path:
        """The run's folder in storage."""
        (folder,) = (self.folder / "runs" / "default" / "job").iterdir()
        return folder

    def termination(self) -> dict[str, Any]:
        """The fault in the termination message."""
        found: dict[str, Any] = json.loads((self.folder / "termination.json").read_text())["fault"]
        return found


def recipe_job(folder: Path, program: str = "", *, train: dict[str, Any], model: str = "mlp", **spec: Any) -> ScriptJob:
    """The same with a recipe: two classes by two numbers, 120 rows. `program` stands in train.py, for a model in it."""
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=120), draw.normal(size=120)
    pl.DataFrame({"a": a, "b": b, "kind": np.where(a > b, "yes", "no")}).write_csv(folder / "data.csv")
    recipe = {"data": {"uri": "data.csv", "target": "kind"}, "model": {"type": model}, "train": train}
    return ScriptJob(folder, program, script=None, recipe=recipe, **spec)


def end_of(process: subprocess.Popen[str], seconds: float = 300) -> Ended:
    """Wait for the end of a command. One that doesn't end in time is killed, and what it said is shown."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as error:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"not ended within {seconds} s:\n{out}\n{err}") from error
    return Ended(process.returncode, out, err)


def with_no_fuss(pid: int) -> None:
    """Kill a process that may be gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 90) -> Any:
    """Wait until `condition` gives something true, and return that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")
