"""The operator as a process, as it runs in its pod."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.cluster import until
from trainyard_launcher.ports import free_port


class OperatorProcess:
    """One replica, started and stopped at will."""

    def __init__(self, kubeconfig: Path, log: Path, **environment: str) -> None:
        self._kubeconfig = kubeconfig
        self._environment = environment
        self.log = log
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it isn't ready yet."""
        settings = {
            "KUBECONFIG": str(self._kubeconfig),
            "TRAINYARD_IMAGE": "trainer",
            "TRAINYARD_PAYLOAD_IMAGE": "payload",
            "TRAINYARD_PORT": str(self.port),
            "TRAINYARD_POLL_SECONDS": "0.2",
            **self._environment,
        }
        with self.log.open("ab") as output:
            command = [sys.executable, "-m", "trainyard_operator"]
            self.process = subprocess.Popen(command, env={**os.environ, **settings}, stdout=output, stderr=output)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(30)

    def get(self, path: str) -> str:
        """What it answers over HTTP; the text of an error as well."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return str(error.read().decode())

    def when_ready(self) -> None:
        """Wait until it has listed everything."""
        until("the operator is ready", self._is_ready)

    def _is_ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the operator ended:\n{self.log.read_text()[-5000:]}")
        try:
            return self.get("/readyz") == "ok"
        except OSError:
            return False

    def memory(self) -> int:
        """Bytes it has in memory."""
        assert self.process is not None
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def lines(self) -> list[dict[str, Any]]:
        """Its log."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


@contextmanager
def operator(kubeconfig: Path, log: Path, **environment: str) -> Iterator[OperatorProcess]:
    """A replica that is ready, stopped with the block."""
    running = OperatorProcess(kubeconfig, log, **environment)
    running.start()
    try:
        running.when_ready()
        yield running
    finally:
        if running.process and running.process.poll() is None:
            running.stop()
