"""The report of a run that goes on: a page on this machine that draws itself anew as the run's folder changes."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_storage import Store
from trainyard_trainer.report.gather import gather
from trainyard_trainer.report.page import as_json, render


@contextmanager
def watching(run: Store, port: int = 0) -> Iterator[str]:
    """Serve the run's live report on loopback while the context is open; gives its URL.

    Only requests that name this machine as their host are answered, so that no page elsewhere can read the report.

    :param port: 0: any free port
    :raises TrainyardError: the port is taken
    """
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), _handler(run))
    except OSError as error:
        raise TrainyardError(
            f"The report can't be shown on port {port}: {error.strerror}.",
            remedy="End what uses it.",
            code=ExitCode.FAILED,
        ) from error
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, name="report", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


def _handler(run: Store) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = (self.headers.get("Host") or "").rpartition(":")[0]
            if host not in ("127.0.0.1", "localhost"):
                return self._answer(403, "text/plain", b"Ask for 127.0.0.1.\n")
            try:
                if self.path == "/":
                    return self._answer(200, "text/html", render(gather(run), live=True).encode())
                if self.path == "/report.json":
                    return self._answer(200, "application/json", as_json(gather(run)).encode())
            except TrainyardError as error:
                return self._answer(503, "text/plain", str(error).encode())
            return self._answer(404, "text/plain", b"There is / and /report.json.\n")

        def _answer(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Requests aren't logged: the page asks every two seconds."""

    return Handler
