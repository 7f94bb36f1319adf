"""SIGTERM under load, Ctrl-C, a port that is taken."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from support.launched import wait_until
from support.onnx_models import image_model
from support.serving import Served, served

BODY = json.dumps({"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 8, 8], "data": [1] * 64}]})


def ask(server: Served, path: str, body: str | None = None) -> int:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=20)
    try:
        connection.request("POST" if body else "GET", path, body)
        return connection.getresponse().status
    finally:
        connection.close()


def listens(server: Served) -> bool:
    try:
        ask(server, "/v2/health/live")
    except OSError:
        return False
    return True


def test_sigterm_under_load(tmp_path: Path) -> None:
    """Readiness goes first while requests are still answered; no request that was taken fails; exit code 0."""
    with served(image_model(tmp_path, width=1500)) as server:
        outcomes: list[int | str] = []
        busy = threading.Semaphore(0)

        def load() -> None:
            while True:
                try:
                    outcomes.append(ask(server, "/v2/models/digits/infer", BODY))
                except ConnectionRefusedError:
                    return  # it no longer listens
                except OSError as error:
                    outcomes.append(repr(error))
                    return
                busy.release()

        threads = [threading.Thread(target=load) for _ in range(8)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            assert busy.acquire(timeout=60), outcomes
        seen = set()

        def gone() -> bool:
            try:
                seen.add(ask(server, "/v2/health/ready"))
                seen.add(ask(server, "/v2/health/live") + 1000)
            except OSError:
                return True
            return False

        server.process.send_signal(signal.SIGTERM)
        wait_until(gone, "it no longer listens")
        assert server.process.wait(30) == 0
        for thread in threads:
            thread.join()
    assert 503 in seen
    assert 1200 in seen
    # A connection that waited in the listener's queue when it closed was never taken.
    assert {o for o in outcomes if not isinstance(o, str) or "reset" not in o.lower()} == {200}
    assert sum(o != 200 for o in outcomes) <= len(threads)


def test_a_request_in_flight_is_finished(images: Path) -> None:
    with served(images) as server, socket.create_connection((server.host, server.port), timeout=20) as connection:
        head = f"POST /v2/models/digits/infer HTTP/1.1\r\nhost: x\r\ncontent-length: {len(BODY)}\r\n\r\n"
        connection.sendall(head.encode() + BODY[:10].encode())
        assert ask(server, "/v2/health/ready") == 200
        server.process.send_signal(signal.SIGINT)
        wait_until(lambda: not listens(server), "it no longer listens, and waits for our request")
        assert server.process.poll() is None
        connection.sendall(BODY[10:].encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        assert server.process.wait(30) == 0


# The real server; the signal comes while it still starts.
_EARLY = """
import os, signal, sys
from pathlib import Path
import uvicorn
from trainyard_server.model import InferenceModel
from trainyard_server.server import serve

load = uvicorn.Config.load
def signalled(config):
    os.kill(os.getpid(), signal.SIGTERM)
    load(config)
uvicorn.Config.load = signalled
serve(InferenceModel.load(Path(sys.argv[1])), "127.0.0.1", 0,
      announce=lambda url: print(f"ready at {url}/v2/", flush=True))
"""


def test_sigterm_before_it_listens(images: Path) -> None:
    with served(images, _EARLY) as server:
        assert server.process.wait(30) == 0


def test_port_taken(images: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        program = "import sys; from trainyard_cli.main import main; sys.exit(main(sys.argv[1:]))"
        ended = subprocess.run(
            [sys.executable, "-c", program, "serve", str(images), "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    assert f"Port {port} is taken" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("port", [-1, 70000])
def test_impossible_port(images: Path, port: int) -> None:
    from trainyard_api.errors import TrainyardError
    from trainyard_server.model import InferenceModel
    from trainyard_server.server import serve

    with pytest.raises(TrainyardError, match="Can't listen"):
        serve(InferenceModel.load(images), "127.0.0.1", port)
