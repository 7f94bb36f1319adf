"""Requests that wait because the model is busy: they run together, and what they hold is bounded."""

import gzip
import http.client
import json
import math
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support.launched import wait_until
from support.onnx_models import table_model
from support.serving import Served, served

# The real server, but a run of its model ends only while the file `busy` isn't there.
_BUSY = """
import sys, time
from pathlib import Path
from trainyard_server.model import InferenceModel
from trainyard_server.server import serve
from trainyard_server.settings import Settings

class Busy(InferenceModel):
    def run(self, inputs):
        while Path(sys.argv[1], "busy").exists():
            time.sleep(0.005)
        return super().run(inputs)

serve(Busy.load(Path(sys.argv[1])), "127.0.0.1", 0, settings=Settings(inline_seconds=0, max_buffered_bytes=40_000),
      announce=lambda url: print(f"ready at {url}/v2/", flush=True))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return table_model(tmp_path_factory.mktemp("busy"))


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Served]:
    with served(folder, _BUSY) as server:
        yield server


@pytest.fixture
def busy(folder: Path) -> Iterator[Path]:
    """Remove it, and the model goes on."""
    file = folder / "busy"
    file.touch()
    yield file
    file.unlink(missing_ok=True)


def body(ages: list[int], city: str = "") -> bytes:
    count = len(ages)
    inputs = [
        {"name": "age", "datatype": "FP64", "shape": [count], "data": ages},
        {"name": "income", "datatype": "FP64", "shape": [count], "data": [0] * count},
        {"name": "city", "datatype": "BYTES", "shape": [count], "data": [city] * count},
    ]
    return json.dumps({"inputs": inputs}, separators=(",", ":")).encode()


def ask(server: Served, data: bytes, encoding: str = "identity") -> tuple[int, Any]:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
    try:
        connection.request("POST", "/v2/models/table/infer", data, {"content-encoding": encoding})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def measured(server: Served, name: str) -> float:
    """One figure of /metrics."""
    with urllib.request.urlopen(f"http://{server.address}/metrics", timeout=30) as answer:
        lines = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[0] != "#")
    return float(lines[f"trainyard_server_{name}"])


def waiting(server: Served, threads: ThreadPoolExecutor, requests: list[tuple[bytes, str]]) -> list[Future[Any]]:
    """Ask all of them at once; return when one is with the model, and the others wait for it."""
    answers = [threads.submit(ask, server, *request) for request in requests]
    wait_until(lambda: measured(server, "queue_requests") == len(requests) - 1, "all requests wait")
    return answers


def test_requests_that_wait_share_a_run(server: Served, busy: Path) -> None:
    """The first is with the model alone; the eleven that came meanwhile, of one to three rows, run together."""
    runs, rows = measured(server, "batch_rows_count"), measured(server, "batch_rows_sum")
    sizes = [1 + i % 3 for i in range(12)]
    with ThreadPoolExecutor(len(sizes)) as threads:
        answers = waiting(server, threads, [(body([i] * size), "identity") for i, size in enumerate(sizes)])
        busy.unlink()
        for i, (size, answer) in enumerate(zip(sizes, answers, strict=True)):
            status, document = answer.result()
            assert status == 200
            assert document["outputs"][1]["data"][1::2] == pytest.approx([1 / (1 + math.exp(-i / 10))] * size)
    assert measured(server, "batch_rows_sum") - rows == sum(sizes)
    assert measured(server, "batch_rows_count") - runs == 2


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (body([1], city="x" * 11_000), "identity"),
        (gzip.compress(body([1], city="x" * 11_000)), "gzip"),
        (body([0] * 500), "identity"),  # 3.6 KB in JSON, 12 KB as arrays
    ],
    ids=["text", "gzip", "numbers"],
)
def test_what_waiting_requests_hold_is_bounded(server: Served, busy: Path, data: bytes, encoding: str) -> None:
    """Three of 11 or 12 KB are held; a fourth would exceed 40 KB. When they're answered there is room again."""
    with ThreadPoolExecutor(3) as threads:
        answers = waiting(server, threads, [(data, encoding)] * 3)
        refused = ask(server, data, encoding)
        busy.unlink()
        assert refused == (503, {"error": "too many large requests are being answered"})
        assert [answer.result()[0] for answer in answers] == [200] * 3
    assert ask(server, data, encoding)[0] == 200
