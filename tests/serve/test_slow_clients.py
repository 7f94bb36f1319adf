"""Slow, silent and greedy clients, by raw sockets, against a server with short limits."""

import json
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from support.launched import wait_until
from support.serving import Served, served

_SHORT = """
import sys
from pathlib import Path
from trainyard_server.model import InferenceModel
from trainyard_server.server import serve
from trainyard_server.settings import Settings
limits = Settings(header_seconds=0.5, body_seconds=0.7, write_seconds=0.5, keep_alive_seconds=1, max_body_bytes=20000)
serve(InferenceModel.load(Path(sys.argv[1])), "127.0.0.1", 0, settings=limits,
      announce=lambda url: print(f"ready at {url}/v2/", flush=True))
"""
INFER = b"POST /v2/models/digits/infer HTTP/1.1\r\nhost: x\r\n"
BODY = json.dumps({"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 8, 8], "data": [1] * 64}]}).encode()


@pytest.fixture(scope="module")
def server(images: Path) -> Iterator[Served]:
    with served(images, _SHORT) as server:
        yield server


@pytest.fixture
def connection(server: Served) -> Iterator[socket.socket]:
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        yield connection


def rest(connection: socket.socket) -> bytes:
    """Everything up to the server's close."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def status(answer: bytes) -> int:
    assert b'{"error":' in answer
    return int(answer.split(b" ")[1])


def test_silent_client_is_closed(connection: socket.socket) -> None:
    assert rest(connection) == b""


def test_slow_headers(connection: socket.socket) -> None:
    connection.sendall(b"GET /v2 HTT")
    assert status(rest(connection)) == 408


def test_headers_drop_by_drop(connection: socket.socket) -> None:
    """Each drop comes well within the limit, all of them together don't."""
    connection.sendall(b"GET /")
    connection.settimeout(0.05)
    answer = b""

    def answered() -> bytes:
        nonlocal answer
        connection.sendall(b"a")
        with suppress(TimeoutError):
            answer = connection.recv(1000)
        return answer

    wait_until(answered, "it is cut off")
    assert status(answer) == 408


def test_slow_body(connection: socket.socket) -> None:
    connection.sendall(INFER + b"content-length: 500\r\n\r\n{")
    assert status(rest(connection)) == 408


def test_no_body_at_all(connection: socket.socket) -> None:
    connection.sendall(INFER + b"content-length: 500\r\n\r\n")
    assert status(rest(connection)) == 408


def test_idle_connection_is_closed_after_an_answer(connection: socket.socket) -> None:
    connection.sendall(INFER + b"content-length: %d\r\n\r\n%s" % (len(BODY), BODY))
    answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"HTTP/1.1") == 1


def test_pieces_within_the_limits_are_fine(connection: socket.socket) -> None:
    request = INFER + b"connection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
    for at in range(0, len(request), 40):
        connection.sendall(request[at : at + 40])
    assert rest(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("framing", [b"content-length: 30000", b"transfer-encoding: chunked"])
def test_large_body(connection: socket.socket, framing: bytes) -> None:
    body = b" " * 30000
    if b"chunked" in framing:
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    connection.sendall(INFER + framing + b"\r\nconnection: close\r\n\r\n" + body)
    assert status(rest(connection)) == 413


def test_large_headers(connection: socket.socket) -> None:
    try:
        connection.sendall(b"GET /v2 HTTP/1.1\r\nx: " + b"y" * 1_000_000)
    except OSError:
        return  # closed while we wrote
    answer = rest(connection)
    assert not answer or status(answer) == 431


def many_slow(server: Served, stack: ExitStack) -> list[socket.socket]:
    """A hundred clients, each with the first byte of its body sent."""
    slow = [stack.enter_context(socket.create_connection((server.host, server.port), timeout=30)) for _ in range(100)]
    for connection in slow:
        connection.sendall(INFER + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY[:1])
    return slow


def test_many_slow_clients_are_all_cut_off(server: Served) -> None:
    with ExitStack() as stack:
        assert [status(rest(connection)) for connection in many_slow(server, stack)] == [408] * 100


def test_many_slow_clients_dont_stop_a_quick_one(image_server: Served) -> None:
    """It is answered while all of them still wait; and then so are they."""
    with ExitStack() as stack:
        slow = many_slow(image_server, stack)
        quick = stack.enter_context(socket.create_connection((image_server.host, image_server.port), timeout=30))
        quick.sendall(INFER + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY)
        assert rest(quick).startswith(b"HTTP/1.1 200")
        assert select.select(slow, [], [], 0)[0] == []
        for connection in slow:
            connection.sendall(BODY[1:])
        assert [rest(connection)[:12] for connection in slow] == [b"HTTP/1.1 200"] * 100


def test_client_that_does_not_read_is_cut_off(server: Served) -> None:
    image = {"name": "image", "datatype": "UINT8", "shape": [130, 8, 8], "data": [1] * 64 * 130}
    body = json.dumps({"inputs": [image]}, separators=(",", ":")).encode()
    request = INFER + b"content-length: %d\r\n\r\n%s" % (len(body), body)
    with socket.create_connection((server.host, server.port), timeout=10) as connection, pytest.raises(ConnectionError):
        connection.sendall(request * 20_000)
