"""uvicorn's HTTP protocol with what it lacks: time limits for clients that are slow, silent, or don't read."""

import asyncio
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from trainyard_server.settings import Settings


class Connection(HttpToolsProtocol):
    """One client's connection.

    A timer runs only while a request is incomplete after what has come so far, so that a small request, which
    arrives in one piece, costs none.
    """

    settings = Settings()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._started = False  # the first byte of a request has come, its last has not
        self._in_headers = True
        self._header_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm(self.settings.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_headers:
            self._header_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_headers and self._header_bytes > self.settings.max_header_bytes:
            self._refuse(431, "the request's headers are too large")
        elif self._timer is None and (self._started or self._idle()):
            self._arm(self.settings.header_seconds if self._in_headers else self.settings.body_seconds)

    def _idle(self) -> bool:
        """Whether nothing is being answered, so that only the client can go on."""
        return self.cycle is None or self.cycle.response_complete

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._started = self._in_headers = True

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._header_bytes = 0
        self._disarm()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._started = False
        self._in_headers = True
        self._disarm()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.pipeline:  # uvicorn would take in requests without end from a client that doesn't wait for answers
            self.flow.pause_reading()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.settings.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        if self.flow is not None:
            super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def _arm(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self._too_slow)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self.flow.read_paused:  # it is us who don't read, because earlier requests are being answered
            self._arm(self.settings.header_seconds)
        elif self._started:
            self._refuse(408, f"the request's {'headers' if self._in_headers else 'body'} took too long to arrive")
        else:
            self.transport.close()

    def _refuse(self, status: int, reason: str) -> None:
        """Answer on the bare connection, unless an answer is being written to it, and close."""
        self._disarm()
        if (self._in_headers and self._idle()) or not (self._idle() or self.cycle.response_started):
            body = orjson.dumps({"error": reason})
            head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            self.transport.write(STATUS_LINE[status] + head + body)
        for cycle in [self.cycle, *(waiting for waiting, _ in self.pipeline)]:
            if cycle is not None:
                cycle.disconnected = True  # what is being answered must not write to the closed connection
        self.transport.close()
