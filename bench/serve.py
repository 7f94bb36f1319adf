"""`serve` against its floor: the bare HTTP framework plus onnxruntime called directly, at 1, 8 and 64 clients at once.

Three servers, each a process: ours; a Starlette route on uvicorn that parses nothing and answers as many bytes; and
the same route with onnxruntime called in it, on one fixed image: nobody could write a more direct server. A fourth
process sends the requests. Time per request is the median of the clients' waiting times over the number of clients,
each of which asks again when it has its answer. Many short rounds, in which the servers alternate; medians.

onnxruntime directly, for the sum: one run after each exchange with the bare server, only the run timed. In a loop of
its own it would find everything in the processor's caches, which no server that also speaks HTTP does; that time is
shown too.
"""

import argparse
import asyncio
import http.client
import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.onnx_models import image_model
from support.serving import Served, served
from trainyard_server.model import InferenceModel

_BARE = """
import socket, sys
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
SIZE = {size}
{prepare}
async def infer(request):
    {run}
    return Response(bytes(SIZE), media_type="application/json")
app = Starlette(routes=[Route("/v2/models/{{name}}/infer", infer, methods=["POST"])])
listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
print(f"bare at http://127.0.0.1:{{listener.getsockname()[1]}}/v2/", flush=True)
config = uvicorn.Config(app, http="httptools", ws="none", loop="uvloop", lifespan="off", log_level="error",
                        access_log=False, server_header=False, date_header=False)
uvicorn.Server(config).run(sockets=[listener])
"""
_SESSION = """
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1] + "/model.onnx", options, providers=["CPUExecutionProvider"])
image = {"image": numpy.zeros((1, 8, 8), numpy.uint8)}
"""
PATH = "/v2/models/digits/infer"


def body() -> bytes:
    """One 8x8 image in JSON, as a client sends it."""
    pixels = np.random.default_rng(0).integers(0, 17, 64).tolist()
    return json.dumps({"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 8, 8], "data": pixels}]}).encode()


class _Client(asyncio.Protocol):
    """One connection that asks again as soon as it has its answer."""

    def __init__(self, request: bytes, count: int, done: "asyncio.Future[None]") -> None:
        self.request, self.left, self.done = request, count, done
        self.buffer = b""
        self.waited: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def ask(self) -> None:
        self.asked = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        if len(rest) < size:
            return
        assert head.startswith(b"HTTP/1.1 200"), self.buffer[:300]
        self.waited.append(time.perf_counter() - self.asked)
        self.answer, self.buffer = rest, b""
        self.left -= 1
        if self.left:
            self.ask()
        elif not self.done.done():
            self.done.set_result(None)
            self.transport.close()


def ask(server: Served, clients: int, requests: int) -> tuple[float, bytes]:
    """Seconds per request, and the last answer's body."""
    data = body()
    request = b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
        PATH.encode(),
        len(data),
        data,
    )

    async def run() -> tuple[float, bytes]:
        loop = asyncio.get_running_loop()
        each = max(20, requests // clients)
        dones = [loop.create_future() for _ in range(clients)]
        pairs = [
            await loop.create_connection(lambda d=done: _Client(request, each, d), server.host, server.port)
            for done in dones
        ]
        for _, client in pairs:  # only when all are connected: so many really are at once
            client.ask()
        await asyncio.gather(*dones)
        waited = [seconds for _, client in pairs for seconds in client.waited]
        return statistics.median(waited) / clients, pairs[0][1].answer

    return uvloop.run(run())


def direct(model: InferenceModel, runs: int) -> float:
    """Seconds per run of onnxruntime on one image, in a loop."""
    image = {"image": np.zeros((1, 8, 8), np.uint8)}
    start = time.perf_counter()
    for _ in range(runs):
        model.run(image)
    return (time.perf_counter() - start) / runs


def direct_between(model: InferenceModel, bare: Served, runs: int) -> float:
    """Median seconds of a run of onnxruntime on one image after each exchange with the bare server."""
    image = {"image": np.zeros((1, 8, 8), np.uint8)}
    times = []
    connection = http.client.HTTPConnection(bare.host, bare.port)
    for _ in range(runs):
        connection.request("POST", PATH, body())
        connection.getresponse().read()
        start = time.perf_counter()
        model.run(image)
        times.append(time.perf_counter() - start)
    connection.close()
    return statistics.median(times)


@dataclass
class Round:
    """Seconds per request of each server, and of a run of onnxruntime by itself."""

    ours: float
    bare: float
    inline: float
    run: float


def measure(folder: Path, rounds: int, requests: int) -> dict[int, list[Round]]:
    """Rounds for each number of clients, without the first, which warms up."""
    model = InferenceModel.load(folder)
    found = {}
    with ExitStack() as stack:
        ours = stack.enter_context(served(folder))
        size = len(ask(ours, 1, 50)[1])
        bare = stack.enter_context(served(folder, _BARE.format(size=size, prepare="", run="")))
        program = _BARE.format(size=size, prepare=_SESSION, run="session.run(None, image)")
        inline = stack.enter_context(served(folder, program))
        for clients in (1, 8, 64):
            times = [
                Round(
                    *(ask(server, clients, requests)[0] for server in (ours, bare, inline)),
                    direct_between(model, bare, 100),
                )
                for _ in range(rounds + 1)
            ]
            found[clients] = times[1:]
    print(f"onnxruntime in a loop of its own: {direct(model, 2000) * 1e3:.3f} ms")
    return found


def main() -> None:
    """Measure with the digits' size of model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=640)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(image_model(Path(folder), width=512), arguments.rounds, arguments.requests)
    for clients, rounds in found.items():
        ours, bare, inline, run = (
            statistics.median(getattr(one, name) for one in rounds) * 1e3 for name in ("ours", "bare", "inline", "run")
        )
        print(f"{clients:3} at once: ours {ours:.3f} ms; bare HTTP {bare:.3f} + onnxruntime {run:.3f} ms", end="; ")
        print(f"onnxruntime in the bare framework {inline:.3f} ms")
    for clients, rounds in found.items():
        summed = statistics.median(one.ours / (one.bare + one.run) for one in rounds)
        print(f"ratio serve at {clients}: {summed:.2f} (target <= 1.5)")
    for clients, rounds in found.items():
        inline = statistics.median(one.ours / one.inline for one in rounds)
        print(f"ratio serve at {clients} against onnxruntime in the bare framework: {inline:.2f}")


if __name__ == "__main__":
    main()
