"""A small HTTP server that no client can disturb: few at a time, each for a few seconds."""

import socket
import time
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

_CLIENTS = 64
_SECONDS = 5.0  # for a whole request, however it drips in


class SmallServer(ThreadingHTTPServer):
    """Answers in daemon threads. Where too many want something, whoever has the most connections open loses one."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: str, port: int, handler: type["SmallHandler"]) -> None:
        """Listen at once; `address` empty: everywhere. Raises OSError if the port is taken."""
        if ":" in address:
            self.address_family = socket.AF_INET6
        self._lock = Lock()
        self._clients: dict[socket.socket, tuple[str, float]] = {}  # address, time.monotonic() when it came
        super().__init__((address, port), handler)
        Thread(target=self.serve_forever, name=handler.__name__, daemon=True).start()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, in somebody's place if all are taken."""
        with self._lock:
            if len(self._clients) >= _CLIENTS:
                count = Counter(address for address, _ in self._clients.values())
                self._hang_up(max(self._clients, key=lambda each: count[self._clients[each][0]]))  # the oldest of many
            self._clients[request] = (client_address[0], time.monotonic())
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room for the next."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._clients.pop(request, None)

    def service_actions(self) -> None:
        """Called twice a second, and after each request."""
        latest = time.monotonic() - _SECONDS
        with self._lock:
            for client in [each for each, (_, came) in self._clients.items() if came < latest]:
                self._hang_up(client)

    def _hang_up(self, client: socket.socket) -> None:
        del self._clients[client]
        with suppress(OSError):  # it has just ended by itself
            client.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went wrong is no news."""

    def close(self) -> None:
        """Stop answering."""
        self.shutdown()
        self.server_close()


class SmallHandler(BaseHTTPRequestHandler):
    """Answers JSON."""

    timeout = 2.0  # seconds of silence

    def answer(self, status: int, body: bytes = b"") -> None:
        """Send `body` and end the connection."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are no news."""
