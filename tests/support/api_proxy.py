"""An HTTP proxy between the operator and the API server that does on purpose what networks and servers do by chance."""

import asyncio
import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import aiohttp
from aiohttp import web

from support.control_plane import ControlPlane

_WRITES = {"POST", "PUT", "PATCH", "DELETE"}
_HOP = {"host", "connection", "transfer-encoding", "content-length", "accept-encoding", "keep-alive"}
_UNPACKED = {*_HOP, "content-encoding"}  # of an answer


@dataclass(frozen=True)
class Request:
    """What the operator asks for."""

    method: str
    path: str
    watch: bool

    @property
    def write(self) -> bool:
        """Whether it changes anything; the Lease, which is renewed all the time, aside."""
        return self.method in _WRITES and "/leases" not in self.path

    @property
    def kind(self) -> str:
        """Method and kind of object: `POST pods`, `PATCH trainingjobs/status`."""
        parts = self.path.partition("/namespaces/")[2].split("/")[1:]
        return f"{self.method} {'/'.join([parts[0], *parts[2:]])}" if parts else f"{self.method} {self.path}"


@dataclass(frozen=True)
class Fault:
    """What becomes of one request. `hold`: the answer waits for `ApiProxy.release`; `sever`: all is cut with it."""

    what: Literal["pass", "cut before", "cut after", "answer", "hold"] = "pass"
    sever: bool = False
    status: int = 503
    reason: str = "ServiceUnavailable"
    retry_after: int | None = None


PASS = Fault()
Lines = list[tuple[float, bytes]]


@dataclass
class ApiProxy:
    """A running proxy. `choose` decides about requests; `mangle` turns one line of a watch into lines with delays."""

    url: str = ""
    choose: Callable[[Request], Fault] = lambda request: PASS
    mangle: Callable[[str, bytes], Lines] = lambda path, line: [(0.0, line)]
    writes: list[str] = field(default_factory=list)  # kinds of those the server has done, in order
    refused: list[tuple[str, int]] = field(default_factory=list)  # those it, or the proxy, has refused
    under_way: int = 0  # writes that the server may have done, and that aren't among `writes` yet
    severed: threading.Event = field(default_factory=threading.Event)
    _upstream: str = ""
    _original: Path = Path()
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _transports: set[asyncio.BaseTransport] = field(default_factory=set)
    _watches: dict[asyncio.BaseTransport, str] = field(default_factory=dict)
    _released: asyncio.Event = field(default_factory=asyncio.Event)
    held: threading.Event = field(default_factory=threading.Event)

    def sever(self) -> None:
        """Cut every connection, and take in none, until `mend`."""
        self.severed.set()
        self._loop.call_soon_threadsafe(self._abort, lambda path: True)

    def mend(self) -> None:
        """Let connections through again."""
        self.severed.clear()

    def cut_watches(self, part: str = "") -> None:
        """Cut the watches whose path has `part` in it; they may come again at once."""
        self._loop.call_soon_threadsafe(self._abort, lambda path: path is not None and part in path)

    def release(self) -> None:
        """Let go of the answers that are held, and hold no more."""
        self._loop.call_soon_threadsafe(self._released.set)

    @property
    def through(self) -> Path:
        """An administrator's kubeconfig, through this proxy."""
        return self.kubeconfig(self._original)

    def kubeconfig(self, original: Path) -> Path:
        """The kubeconfig at `original`, but through this proxy."""
        content = json.loads(original.read_text())
        content["clusters"][0]["cluster"] = {"server": self.url}
        path = original.with_name(f"{original.name}-through-{self.url.rpartition(':')[2]}")
        path.write_text(json.dumps(content))
        return path

    def _abort(self, which: Callable[[str | None], bool]) -> None:
        for transport in list(self._transports):
            if which(self._watches.get(transport)):
                transport.abort()  # type: ignore[attr-defined]

    async def _serve(self, session: aiohttp.ClientSession, asked: web.BaseRequest) -> web.StreamResponse:
        transport = asked.transport
        if transport is None or self.severed.is_set():
            return self._cut(asked, PASS)
        self._transports.add(transport)
        request = Request(asked.method, asked.path, asked.query.get("watch") == "true")
        body = await asked.read()
        fault = self.choose(request)
        if fault.what == "cut before" or self.severed.is_set():
            return self._cut(asked, fault)
        if fault.what == "answer":
            self.refused.append((request.kind, fault.status))
            return _refusal(fault)
        headers = {name: value for name, value in asked.headers.items() if name.lower() not in _HOP}
        url = self._upstream + asked.path_qs
        self.under_way += request.write
        try:
            async with session.request(asked.method, url, headers=headers, data=body or None) as answer:
                if request.watch and answer.status == 200:
                    return await self._stream(asked, answer)
                content = await answer.read()
            if request.write:
                self._note(request, answer.status)
        finally:
            self.under_way -= request.write
        if fault.what == "hold":
            self.held.set()
            await self._released.wait()
        if fault.what == "cut after" or self.severed.is_set():
            return self._cut(asked, fault)
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in _UNPACKED}
        return web.Response(status=answer.status, headers=kept, body=content)

    def _note(self, request: Request, status: int) -> None:
        if status < 300:
            self.writes.append(request.kind)
        else:
            self.refused.append((request.kind, status))

    def _cut(self, asked: web.BaseRequest, fault: Fault) -> web.Response:
        if fault.sever:
            self.sever()
        if asked.transport is not None:
            asked.transport.abort()
        return web.Response(status=503)

    async def _stream(self, asked: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(asked)
        assert asked.transport is not None
        self._watches[asked.transport] = asked.path
        late: set[asyncio.Task[None]] = set()
        try:
            async for line in _lines(answer):
                for delay, out in self.mangle(asked.path, line):
                    if delay:
                        late.add(asyncio.create_task(_write_later(response, delay, out)))
                    else:
                        await response.write(out)
            await response.write_eof()
        except (ConnectionError, aiohttp.ClientError):
            pass
        finally:
            for task in late:
                task.cancel()
        return response


async def _lines(answer: aiohttp.ClientResponse) -> Any:
    rest = b""
    async for chunk in answer.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"


async def _write_later(response: web.StreamResponse, delay: float, line: bytes) -> None:
    with contextlib.suppress(ConnectionError, RuntimeError):
        await asyncio.sleep(delay)
        await response.write(line)


def _refusal(fault: Fault) -> web.Response:
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": fault.reason, "code": fault.status}
    return web.json_response({**body, "message": "the test says so"}, status=fault.status, headers=headers)


@contextlib.contextmanager
def api_proxy(plane: ControlPlane) -> Iterator[ApiProxy]:
    """A proxy to the API server on a free port of 127.0.0.1, in a thread of its own."""
    proxy = ApiProxy(_upstream=plane.url, _original=plane.kubeconfig())
    thread = threading.Thread(target=proxy._loop.run_forever, daemon=True)
    thread.start()
    stack = contextlib.AsyncExitStack()
    asyncio.run_coroutine_threadsafe(_start(proxy, plane.certificate, stack), proxy._loop).result(10)
    try:
        yield proxy
    finally:
        proxy.sever()
        asyncio.run_coroutine_threadsafe(_stop(stack), proxy._loop).result(20)
        proxy._loop.call_soon_threadsafe(proxy._loop.stop)
        thread.join(10)
        proxy._loop.close()


async def _start(proxy: ApiProxy, certificate: Path, stack: contextlib.AsyncExitStack) -> None:
    context = ssl.create_default_context(cafile=str(certificate))
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=0, ssl=context)
    session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=timeout))
    # What has been sent on is done and counted though the one who asked is dead by now: handlers aren't cancelled.
    server = web.Server(lambda asked: proxy._serve(session, asked))
    runner = web.ServerRunner(server, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"


async def _stop(stack: contextlib.AsyncExitStack) -> None:
    await stack.aclose()
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
