"""The operator as a process that is there at once: forked from one that has imported everything already."""

import multiprocessing
import os
import signal
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from support.cluster import until
from trainyard_launcher.ports import free_port

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["trainyard_operator.__main__", "trainyard_operator.replica", __name__])


class ForkedOperator:
    """One replica, started and killed at will.

    `constants` shortens waits that are of no interest: by module and name, `reconcile.STARTING_SECONDS`.
    """

    def __init__(self, kubeconfig: Path, log: Path, constants: dict[str, float], **environment: str) -> None:
        self._constants = constants
        images = {"TRAINYARD_IMAGE": "trainer", "TRAINYARD_PAYLOAD_IMAGE": "payload"}
        self._environment = {"KUBECONFIG": str(kubeconfig), **images, **environment}
        self.log = log
        self.port = 0
        self._process: multiprocessing.process.BaseProcess | None = None

    def start(self) -> None:
        """Start it, under a Lease of its own: the last one's isn't waited for."""
        self.port = free_port()
        lease = f"{self.log.stem}-{uuid.uuid4().hex[:8]}".lower()
        environment = {"TRAINYARD_LEASE": lease, "TRAINYARD_PORT": str(self.port), **self._environment}
        self._process = _CONTEXT.Process(target=_run, args=(environment, self._constants, str(self.log)), daemon=True)
        self._process.start()

    def signal(self, how: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        assert self._process.pid is not None
        os.kill(self._process.pid, how)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.join(20)
            self._process = None

    def stop(self) -> int | None:
        """SIGTERM. Its exit code; None: it doesn't end."""
        assert self._process is not None
        self._process.terminate()
        self._process.join(30)
        return self._process.exitcode

    def ended(self) -> int | None:
        """Its exit code once it has ended."""
        return self._process.exitcode if self._process else None

    def get(self, path: str) -> str:
        """What it answers over HTTP; empty while it doesn't."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def metric(self, name: str) -> float:
        """The value of one metric, labels included in its name; 0 if there is none."""
        lines = self.get("/metrics").splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name), 0.0)

    def looks(self) -> float:
        """How often it has looked at a job, and found nothing wrong."""
        return self.metric('trainyard_operator_reconcile_seconds_count{result="ok"}')

    def when_ready(self) -> None:
        """Wait until it has listed everything."""
        until("the operator is ready", lambda: self.get("/readyz") == "ok")

    def is_settled(self, jobs: int = 1) -> bool:
        """Whether it has looked at every job, and nothing is left to do."""
        return self.looks() >= jobs and self.metric("trainyard_operator_queue_depth") == 0


@contextmanager
def an_operator(
    kubeconfig: Path, log: Path, constants: dict[str, float] | None = None, **environment: str
) -> Iterator[ForkedOperator]:
    """A replica that is ready, killed with the block."""
    operator = ForkedOperator(kubeconfig, log, constants or {}, **environment)
    operator.start()
    try:
        operator.when_ready()
        yield operator
    finally:
        operator.kill()


def _run(environment: dict[str, str], constants: dict[str, float], log: str) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.environ.update(environment)
    for name, value in constants.items():
        module, _, constant = name.rpartition(".")
        found = import_module(f"trainyard_operator.{module}")
        assert hasattr(found, constant), f"there is no {name}"
        setattr(found, constant, value)
    from trainyard_operator.__main__ import main

    sys.exit(main())
