"""`trainyard run` while it trains, and the port on which it tells its metrics."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.commands import TRAINYARD, write_job
from support.launched import end_of, with_no_fuss
from trainyard_launcher.runtime import read_metrics_port


@contextmanager
def running(folder: Path, **spec: Any) -> Iterator[subprocess.Popen[str]]:
    """A job in `folder`, stopped at the end of the block."""
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(folder / "cache")}
    process = subprocess.Popen(
        [TRAINYARD, "run", str(write_job(folder, **spec))],
        cwd=folder,
        env={**environ, "TRAINYARD_METRICS_PORT": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        ended = end_of(process)
        assert ended.code == 143, ended.out + ended.err
    finally:
        with_no_fuss(process.pid)


def metrics_port(folder: Path) -> int | None:
    """Where the job in `folder` tells its metrics; None as long as it doesn't."""
    runtimes = (folder / "cache" / "trainyard" / "runtime").glob("*")
    return next((port for port in map(read_metrics_port, runtimes) if port), None)
