"""Starting etcd, kube-apiserver and kube-controller-manager, and speaking to them."""

import itertools
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

from kubernetes import client, config

from support.control_plane import commands
from support.control_plane.access import Authority, write_kubeconfig
from support.control_plane.binaries import folder
from support.control_plane.process import Process
from trainyard_launcher.ports import free_port

_TOKEN = "administrator-of-a-test"  # of a server on loopback that lives for one test session
_START_SECONDS = 90
_ANSWER_SECONDS = 10


class ControlPlane:
    """An API server, which a test may stop and start, with its store; and, once started, the controllers."""

    def __init__(self, work: Path) -> None:
        self.work = work
        etcd, peer, port = free_port(), free_port(), free_port()
        self.url = f"https://127.0.0.1:{port}"
        self.certificate = work / "certificates" / "apiserver.crt"
        self._authority = Authority(work)
        self._numbers = itertools.count()
        self._programs = folder()
        self.etcd = self._process("etcd", commands.etcd(work, etcd, peer))
        self.api_server = self._process("kube-apiserver", commands.api_server(work, etcd, port, self._authority))
        self._controllers: Process | None = None

    def _process(self, name: str, words: list[str]) -> Process:
        return Process([str(self._programs / name), *words], self.work / f"{name}.log")

    def start(self) -> None:
        """Start etcd and the API server; back when they answer. Raises RuntimeError, with the log, if they don't."""
        (self.work / "tokens.csv").write_text(f'{_TOKEN},administrator,1,"system:masters"\n')
        key = commands.accounts_key(self.work)
        if not key.exists():
            subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
        self.etcd.start()
        self.start_api_server()

    def stop(self) -> None:
        """Kill all of it; nothing is kept."""
        for process in (self._controllers, self.api_server, self.etcd):
            if process is not None:
                process.stop()

    def start_api_server(self) -> None:
        """Start it, at the same address as before; back when it answers."""
        self.api_server.start()
        self._wait(self._is_ready, self.etcd, self.api_server)

    @contextmanager
    def outage(self) -> Iterator[None]:
        """No API server within the block; every connection to it breaks."""
        self.api_server.stop()
        try:
            yield
        finally:
            self.start_api_server()

    def start_controllers(self) -> None:
        """Start kube-controller-manager: garbage collection, namespaces, service accounts, Jobs.

        Install resource definitions first: the garbage collector looks for new ones only every 30 s.
        """
        if self._controllers is None:
            port = free_port()
            words = commands.controllers(self.work, self.kubeconfig(), self.certificate, port)
            self._controllers = self._process("kube-controller-manager", words)
        self._controllers.start()
        self._wait(self._has_default_account, self.api_server, self._controllers)

    @contextmanager
    def without_controllers(self) -> Iterator[None]:
        """Nothing is cleaned up within the block: what is to go stays as it is."""
        assert self._controllers is not None
        self._controllers.stop()
        try:
            yield
        finally:
            self.start_controllers()

    def get(self, path: str, accept: str = "application/json") -> HTTPResponse:
        """What the server answers at `path`. Raises OSError if it doesn't, or refuses."""
        request = urllib.request.Request(self.url + path)
        request.add_header("Authorization", f"Bearer {_TOKEN}")
        request.add_header("Accept", accept)
        context = ssl.create_default_context(cafile=str(self.certificate))
        found: HTTPResponse = urllib.request.urlopen(request, context=context, timeout=_ANSWER_SECONDS)
        return found

    def api(self, kubeconfig: Path | None = None) -> client.ApiClient:
        """A client with every right, or with those of `kubeconfig`."""
        new_client: Callable[[str], client.ApiClient] = config.new_client_from_config
        return new_client(str(kubeconfig or self.kubeconfig()))

    def kubeconfig(self, namespace: str = "default") -> Path:
        """The file by which a program speaks as an administrator."""
        return self._write({"token": _TOKEN}, namespace)

    def user(self, name: str, groups: tuple[str, ...] = (), namespace: str = "default") -> Path:
        """The kubeconfig of user `name`, who has a certificate and no rights but those that RBAC gives."""
        return self._write(self._authority.user(name, groups), namespace)

    def service_account(self, namespace: str, name: str) -> Path:
        """The kubeconfig of a service account, which must exist; its token is good for an hour."""
        with self.api() as api:
            asked: Any = {"spec": {"expirationSeconds": 3600}}
            answer: Any = client.CoreV1Api(api).create_namespaced_service_account_token(name, namespace, asked)
        return self._write({"token": answer.status.token}, namespace)

    def _write(self, user: dict[str, str], namespace: str) -> Path:
        path = self.work / f"kubeconfig-{next(self._numbers)}"
        return write_kubeconfig(path, self.url, self.certificate, user, namespace)

    def _is_ready(self) -> bool:
        if not self.certificate.exists():
            return False
        with self.get("/readyz") as answer:
            return bool(answer.status == 200)

    def _has_default_account(self) -> bool:
        with self.get("/api/v1/namespaces/default/serviceaccounts/default") as answer:
            return bool(answer.status == 200)

    def _wait(self, condition: Callable[[], bool], *processes: Process) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not _holds(condition):
            for process in processes:
                process.check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{processes[-1].command[0]} doesn't start:\n{processes[-1].tail()}")
            time.sleep(0.05)


@contextmanager
def control_plane(work: Path) -> Iterator[ControlPlane]:
    """An empty cluster with its files under `work`, ready to be asked; ended with the block."""
    plane = ControlPlane(work)
    try:
        plane.start()
        yield plane
    finally:
        plane.stop()


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except OSError:
        return False
