"""The part of a node that the API server asks for logs: GET /containerLogs/<namespace>/<pod>/<container> over TLS.

The API server is real, and so is the way of a log through it; only what is printed comes from the test.
"""

import itertools
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from kubernetes import client

from support.certificates import make_certificates


@dataclass
class _Log:
    lines: list[tuple[datetime, str]] = field(default_factory=list)
    ended: bool = False


@dataclass
class Kubelet:
    """A node named `node`, and what its containers print."""

    node: str
    requests: list[str] = field(default_factory=list)
    most: int | None = None  # lines after which an answer ends as if it were whole
    _logs: dict[str, _Log] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _streams: dict[socket.socket, str] = field(default_factory=dict)

    def prints(self, pod: str, *lines: str, at: datetime | None = None) -> None:
        """The container of `pod` prints lines, all at one time."""
        with self._changed:
            log = self._logs.setdefault(pod, _Log())
            log.lines += [(at or datetime.now(UTC), line) for line in lines]
            self._changed.notify_all()

    def ends(self, pod: str) -> None:
        """The container of `pod` has ended: streams of its log end too."""
        with self._changed:
            self._logs.setdefault(pod, _Log()).ended = True
            self._changed.notify_all()

    def forgets(self, pod: str) -> None:
        """The pod is gone, and its log with it: the next of its name begins anew."""
        with self._changed:
            del self._logs[pod]

    def is_followed(self, pod: str) -> bool:
        """Whether the log of `pod` is being read now."""
        with self._changed:
            return pod in self._streams.values()

    def cut(self) -> None:
        """Break every connection on which a log is followed, in the middle of a line."""
        with self._changed:
            for stream in self._streams:
                stream.shutdown(socket.SHUT_RDWR)
            self._streams.clear()
            self._changed.notify_all()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Send the log that is asked for."""
        address = urlsplit(handler.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        pod = address.path.split("/")[3]
        self.requests.append(handler.path)
        if pod not in self._logs:
            handler.send_error(400, "container is waiting to start")
            return
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        since = datetime.fromisoformat(query["sinceTime"]) if "sinceTime" in query else None
        texts = self._texts(pod, since, handler.connection, follow=query.get("follow") == "true")
        for text in itertools.islice(texts, self.most):
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
            handler.wfile.flush()
        handler.wfile.write(b"0\r\n\r\n")

    def _texts(self, pod: str, since: datetime | None, stream: socket.socket, *, follow: bool) -> Iterator[bytes]:
        sent = 0
        with self._changed:
            if follow:
                self._streams[stream] = pod
        try:
            while fresh := self._next(pod, sent, stream, follow=follow):
                sent += len(fresh)
                for moment, line in fresh:
                    if since is None or moment >= since:
                        yield f"{moment.isoformat().replace('+00:00', 'Z')} {line}\n".encode()
        finally:
            with self._changed:
                self._streams.pop(stream, None)

    def _next(self, pod: str, sent: int, stream: socket.socket, *, follow: bool) -> list[tuple[datetime, str]]:
        """Lines after the first `sent`, waited for if the log is followed; [] at its end."""
        log = self._logs[pod]
        with self._changed:
            if follow:
                self._changed.wait_for(lambda: len(log.lines) > sent or log.ended or stream not in self._streams)
            return log.lines[sent:]


@contextmanager
def kubelet(api: client.ApiClient, node: str, folder: Path) -> Iterator[Kubelet]:
    """A node of this name in the cluster; its certificates lie in `folder`."""
    running = Kubelet(node)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            try:
                running.answer(self)
            except OSError:
                self.close_connection = True  # the reader has gone

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: tests look at what comes out of the command."""

    made = make_certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.server, made.key)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        port = server.server_port
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _register(client.CoreV1Api(api), node, port)
        yield running
        running.cut()
        server.shutdown()


def _register(core: client.CoreV1Api, node: str, port: int) -> None:
    core.create_node({"metadata": {"name": node}})
    endpoints = {"kubeletEndpoint": {"Port": port}}
    addresses = [{"type": "InternalIP", "address": "127.0.0.1"}]
    core.patch_node_status(node, {"status": {"addresses": addresses, "daemonEndpoints": endpoints}})
