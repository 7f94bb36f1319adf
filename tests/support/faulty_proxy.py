"""An HTTP proxy in front of the tests' S3 server that damages answers on purpose."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["ok", "cut", "flip", "busy", "conflict", "reset", "silent"]
"""What becomes of one request: nothing, a body cut short, a bit flipped in it, 503, 409, no answer, or silence."""

_ANSWERS = {
    "busy": b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "conflict": b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
}


@dataclass
class FaultyProxy:
    """A running proxy. `choose(method, path)` decides about every request; `requests` lists them."""

    endpoint: str
    choose: Callable[[str, str], Fault]
    requests: list[tuple[str, str, Fault]]


class Held:
    """Chooses nothing wrong, but keeps the proxy from answering the first PUT whose path has `part` in it."""

    def __init__(self, part: str) -> None:
        self.part = part
        self.reached = threading.Event()
        self.released = threading.Event()
        self.answered = threading.Event()

    def __call__(self, method: str, path: str) -> Fault:
        if method == "PUT" and self.part in path:
            self.reached.set()
            self.released.wait(90)
            self.answered.set()
        return "ok"


@contextlib.contextmanager
def faulty_proxy(upstream: str, choose: Callable[[str, str], Fault]) -> Iterator[FaultyProxy]:
    """A proxy to `upstream` on a free port of 127.0.0.1, in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    proxy = FaultyProxy("", choose, [])
    server = asyncio.run_coroutine_threadsafe(_listen(urlsplit(upstream).netloc, proxy), loop).result(10)
    proxy.endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(_stop(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _listen(upstream: str, proxy: FaultyProxy) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await _exchange(upstream, proxy, reader, writer)
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)


async def _stop(server: asyncio.Server) -> None:
    server.close()
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _exchange(
    upstream: str, proxy: FaultyProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """One request and its answer; the connection is closed after it, so that every request is decided on its own."""
    head = await reader.readuntil(b"\r\n\r\n")
    method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
    if b"expect: 100-continue" in head.lower():
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = await reader.readexactly(_length(head))
    fault = proxy.choose(method, path)
    proxy.requests.append((method, path, fault))
    if fault == "silent":
        await asyncio.Event().wait()
    if fault == "reset":
        return
    answer = _ANSWERS.get(fault) or _damaged(fault, *await _forward(upstream, head, body, method))
    writer.write(answer)
    await writer.drain()


async def _forward(upstream: str, head: bytes, body: bytes, method: str) -> tuple[bytes, bytes]:
    """Head and body of the server's answer. The Host header stays: the signature covers it."""
    host, _, port = upstream.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 20)
    writer.write(head + body)
    await writer.drain()
    answer = await reader.readuntil(b"\r\n\r\n")
    content = b"" if method == "HEAD" else await reader.readexactly(_length(answer))
    writer.close()
    return answer, content


def _damaged(fault: Fault, head: bytes, body: bytes) -> bytes:
    lines = [line for line in head.split(b"\r\n") if line and not line.lower().startswith(b"connection:")]
    if fault == "flip" and body:
        middle = len(body) // 2
        body = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
    if fault == "cut":
        body = body[: len(body) // 2]
    return b"\r\n".join([*lines, b"Connection: close", b"", body])


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0
