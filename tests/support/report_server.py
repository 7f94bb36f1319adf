"""What answers on a pod's report port: a launcher, or a program that means harm."""

import json
import random
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

PORT = 9465
Answer = Callable[[threading.Event], Iterable[bytes]]


class ReportServer(socketserver.ThreadingTCPServer):
    """Answers every request with the bytes of `answer`, on a loopback address of its own: no other test's pod has it.

    `answer` is given an event that is set at the end, for those that would go on for ever.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int = PORT) -> None:
        self.answer: Answer = told()
        self.asked = 0
        self.requests: list[bytes] = []
        self.over = threading.Event()
        self.ip = f"127.{random.randrange(1, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}"
        super().__init__((self.ip, port), _Handler)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def tell(self, **report: Any) -> None:
        """Answer with a NodeReport from now on."""
        self.answer = told(**report)


class _Handler(socketserver.StreamRequestHandler):
    server: ReportServer

    def handle(self) -> None:
        request = b""
        while (line := self.rfile.readline()).strip():
            request += line
        self.server.requests.append(request)
        self.server.asked += 1
        with suppress(OSError):  # whoever asked has heard enough
            for chunk in self.server.answer(self.server.over):
                self.wfile.write(chunk)


def document(**report: Any) -> str:
    """A NodeReport as a launcher writes it."""
    return json.dumps({"version": 1, **report})


def http(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """A whole answer."""
    named = {"Content-Length": str(len(body)), "Connection": "close", **headers}
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def told(**report: Any) -> Answer:
    """The answer of a launcher that says `report`."""
    body = http(document(**report).encode())
    return lambda over: [body]


@contextmanager
def report_server(port: int = PORT) -> Iterator[ReportServer]:
    """A server in a thread of its own. Port 0: any that is free."""
    with ReportServer(port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join(10)
