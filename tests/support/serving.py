"""A real `trainyard serve` process on a free port."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SERVE = "import sys; from trainyard_cli.main import main; sys.exit(main(['serve', *sys.argv[1:]]))"


@dataclass
class Served:
    """Where it answers, and its process."""

    host: str
    port: int
    process: "subprocess.Popen[str]"

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def end(self, sig: signal.Signals = signal.SIGTERM) -> int:
        """Send `sig` and return the exit code."""
        self.process.send_signal(sig)
        return self.process.wait(30)


@contextmanager
def served(model: Path, program: str = _SERVE) -> Iterator[Served]:
    """Start `program` (default: the command itself) for `model`; kill it at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(model), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    try:
        url = _first_line(process).split(" at ")[1].split("/v2/")[0].removeprefix("http://")
        host, _, port = url.rpartition(":")
        yield Served(host, int(port), process)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _first_line(process: "subprocess.Popen[str]", seconds: float = 60) -> str:
    assert process.stdout is not None
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([process.stdout], [], [], 0.1)[0]:
            line = process.stdout.readline()
            if line:
                return line
            raise AssertionError(f"the server ended with {process.wait()}")
    raise AssertionError("the server didn't say where it listens")
