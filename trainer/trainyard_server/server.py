"""The server's process: from a free port to the last answer."""

import asyncio
import contextlib
import errno
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn

from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_server.app import ModelApp
from trainyard_server.connection import Connection
from trainyard_server.model import InferenceModel
from trainyard_server.settings import Settings


def serve(
    model: InferenceModel,
    host: str,
    port: int,
    *,
    settings: Settings | None = None,
    announce: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until SIGTERM or SIGINT. `announce` gets the URL once requests are taken; port 0 is any free one.

    TrainyardError if the address can't be had.
    """
    settings = settings or Settings()
    listener = _listen(host, port)
    app = ModelApp(model, settings)
    try:
        _Server(_config(app, settings), app, settings, announce).run(sockets=[listener])
    finally:
        app.close()
        listener.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        raise TrainyardError(
            f"Port {port} is taken" if taken else f"Can't listen at {host}:{port}: {error}",
            f"{host}:{port}",
            "stop the other program, or name another port with --port",
            ExitCode.FAILED if taken else ExitCode.INVALID,
            "PortTaken" if taken else "AddressInvalid",
        ) from error
    return listener


def _config(app: ModelApp, settings: Settings) -> uvicorn.Config:
    protocol = type("BoundedConnection", (Connection,), {"settings": settings})
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        loop="uvloop",
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.drain_seconds,
    )


class _Server(uvicorn.Server):
    """uvicorn's server, but a signal first takes readiness back, and ends the process with exit code 0."""

    def __init__(
        self, config: uvicorn.Config, app: ModelApp, settings: Settings, announce: Callable[[str], None]
    ) -> None:
        super().__init__(config)
        self._app = app
        self._settings = settings
        self._announce = announce
        app.requests_at_hand = self.server_state.tasks.__len__

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install handlers for as long as the server runs; uvicorn's would raise the signal again at the end."""
        self._loop = asyncio.get_running_loop()  # a signal may come before anything else is there
        before = {sig: signal.signal(sig, self.handle_exit) for sig in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """First signal: not ready, then drain. A second one: end at once."""
        if not self._app.ready:
            self.should_exit = self.force_exit = True
            return
        self._app.ready = False
        # A person at a terminal doesn't wait for a load balancer to notice.
        delay = self._settings.lame_duck_seconds if sig == signal.SIGTERM else 0.0
        self._loop.call_soon_threadsafe(self._loop.call_later, delay, self._stop)

    def _stop(self) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, then say where."""
        await super().startup(sockets)
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            self._announce(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
        sys.stdout.flush()
