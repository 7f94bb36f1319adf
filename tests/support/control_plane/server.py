"""Starting etcd and kube-apiserver, and speaking to them as an administrator."""

import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path

from kubernetes import client

from support.control_plane.binaries import folder

_TOKEN = "administrator-of-a-test"  # of a server on loopback that lives for one test session
_START_SECONDS = 90
_ANSWER_SECONDS = 10


@dataclass(frozen=True)
class ControlPlane:
    """A running API server."""

    url: str
    certificate: Path

    def get(self, path: str, accept: str = "application/json") -> HTTPResponse:
        """What the server answers at `path`. Raises OSError if it doesn't, or refuses."""
        request = urllib.request.Request(self.url + path)
        request.add_header("Authorization", f"Bearer {_TOKEN}")
        request.add_header("Accept", accept)
        context = ssl.create_default_context(cafile=str(self.certificate))
        found: HTTPResponse = urllib.request.urlopen(request, context=context, timeout=_ANSWER_SECONDS)
        return found

    def api(self) -> client.ApiClient:
        """A client with every right."""
        settings = client.Configuration(host=self.url)
        settings.ssl_ca_cert = str(self.certificate)
        settings.api_key = {"authorization": f"Bearer {_TOKEN}"}
        return client.ApiClient(settings)


@contextmanager
def control_plane(work: Path) -> Iterator[ControlPlane]:
    """An empty cluster with its files under `work`, ready to be asked; ended with the block."""
    programs = folder()
    etcd_port, peer_port, port = _free_ports(3)
    etcd = f"http://127.0.0.1:{etcd_port}"
    peer = f"http://127.0.0.1:{peer_port}"
    certificates = work / "certificates"
    plane = ControlPlane(f"https://127.0.0.1:{port}", certificates / "apiserver.crt")
    (work / "tokens.csv").write_text(f'{_TOKEN},administrator,1,"system:masters"\n')
    key = work / "accounts.key"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    commands = {
        "etcd": [
            *("--data-dir", str(work / "etcd"), "--unsafe-no-fsync", "--log-level", "error"),
            *("--listen-client-urls", etcd, "--advertise-client-urls", etcd),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", f"default={peer}"),
        ],
        "kube-apiserver": [
            *("--etcd-servers", etcd, "--bind-address", "127.0.0.1", "--secure-port", str(port)),
            *("--cert-dir", str(certificates), "--token-auth-file", str(work / "tokens.csv")),
            *("--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.0.0.0/24"),
            *("--service-account-issuer", "https://tests", "--service-account-key-file", str(key)),
            *("--service-account-signing-key-file", str(key), "--disable-admission-plugins", "ServiceAccount"),
        ],
    }
    with ExitStack() as stack:
        started = {
            name: stack.enter_context(_process([str(programs / name), *words], work / f"{name}.log"))
            for name, words in commands.items()
        }
        _wait_until_ready(plane, started, work)
        yield plane


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.kill()  # nothing of it is kept
        process.wait()


def _wait_until_ready(plane: ControlPlane, started: dict[str, subprocess.Popen[bytes]], work: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not (plane.certificate.exists() and _is_ready(plane)):
        for name, process in started.items():
            if process.poll() is not None or time.monotonic() > deadline:
                log = (work / f"{name}.log").read_text(errors="replace")
                raise RuntimeError(f"{name} doesn't start:\n{log[-3000:]}")
        time.sleep(0.1)


def _is_ready(plane: ControlPlane) -> bool:
    try:
        with plane.get("/readyz") as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]
