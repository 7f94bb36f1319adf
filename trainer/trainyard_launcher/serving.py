"""A small HTTP server that no client can disturb: few at a time, each for a few seconds."""

import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore, Thread
from typing import Any

_CLIENTS = 64


class SmallServer(ThreadingHTTPServer):
    """Answers in daemon threads, 64 at most: whoever comes beyond that is turned away, and a silent one is left."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: str, port: int, handler: type["SmallHandler"]) -> None:
        """Listen at once; `address` empty: everywhere. Raises OSError if the port is taken."""
        if ":" in address:
            self.address_family = socket.AF_INET6
        self._places = BoundedSemaphore(_CLIENTS)
        super().__init__((address, port), handler)
        Thread(target=self.serve_forever, name=handler.__name__, daemon=True).start()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, if there is one left."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room for the next."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

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
