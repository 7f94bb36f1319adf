"""Whatever a client sends gets an answer with the reason, never a 500."""

import gzip
import json
import socket
import struct
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.serving import Served
from trainyard_server.model import InferenceModel
from trainyard_server.request import RequestError, decode, decompress
from trainyard_server.response import infer_response


def tensor(name: str, **changes: Any) -> dict[str, Any]:
    given = {"name": name, "datatype": "BYTES" if name == "city" else "FP64", "shape": [1], "data": [1.0]}
    return given | ({"data": ["Bern"]} if name == "city" else {}) | changes


def document(**changes: Any) -> dict[str, Any]:
    """A good request for the table model, with `age`, `income` or `city` changed, or left out by None."""
    tensors = {name: tensor(name) for name in ("age", "income", "city")} | changes
    return {"inputs": [value for value in tensors.values() if value is not None]}


@pytest.fixture(scope="session")
def model(table: Path) -> InferenceModel:
    return InferenceModel.load(table)


def refusal(model: InferenceModel, body: bytes | dict[str, Any], header: str | None = None) -> str:
    with pytest.raises(RequestError) as caught:
        decode(model, json.dumps(body).encode() if isinstance(body, dict) else body, header)
    assert caught.value.status == 400
    return caught.value.reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (document(age=None), "'age' is missing"),
        (document(x=tensor("x")), "no input 'x'"),
        (document(age=tensor("age", datatype="FP32")), "datatype must be FP64"),
        (document(age=tensor("age", shape=[1, 1])), "shape is [1, 1], must be [-1]"),
        (document(age=tensor("age", shape=[-1])), "shape must be a list of sizes"),
        (document(age=tensor("age", shape=[True])), "shape must be a list of sizes"),
        (document(age=tensor("age", shape=[0], data=[])), "no rows"),
        (document(age=tensor("age", shape=[2], data=[1, 2])), "differ in rows"),
        (document(age=tensor("age", shape=[10**15])), "needs 1000"),
        (document(age=tensor("age", data=[1, 2])), "holds 2 values"),
        (document(age=tensor("age", data=["1"])), "text among"),
        (document(age=tensor("age", data=[True])), "true or false among"),
        (document(age=tensor("age", data=[None])), "null among"),
        (document(age=tensor("age", data=[[1], 2])), "holds 2 rows"),
        (document(age=tensor("age", data=[10**400])), "not valid JSON|doesn't fit|infinite|isn't valid JSON"),
        (document(age=tensor("age", data=5)), "data must be a list"),
        (document(city=tensor("city", data=[5])), "other than text"),
        (document(age={"datatype": "FP64", "shape": [1], "data": [1]}), "needs a name"),
        (document(age="age"), "must be a JSON object"),
        ({"inputs": []}, "must be a list"),
        ({}, "must be a list"),
        (document() | {"id": 5}, "id must be text"),
        (document() | {"outputs": [{"name": "nothing"}]}, "no output 'nothing'"),
        (document() | {"outputs": [{"name": "label", "parameters": {"classification": 3}}]}, "aren't supported"),
        (document() | {"parameters": {"binary_data_output": "yes"}}, "true or false"),
        (document(age=tensor("age", parameters={"shared_memory_region": "x"})), "shared memory isn't"),
        ({"inputs": [*document()["inputs"], tensor("age")]}, "occurs twice"),
    ],
)
def test_reason_of_refusal(model: InferenceModel, body: dict[str, Any], reason: str) -> None:
    said = refusal(model, body)
    assert any(part in said for part in reason.split("|")), said


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff", b'{"inputs":' + b"[" * 100_000, b'{"inputs":[{"data":[NaN]}]}']
)
def test_malformed_json(model: InferenceModel, body: bytes) -> None:
    refusal(model, body)


def test_nan_and_infinity_only_where_they_may_be(model: InferenceModel) -> None:
    def binary(name: str, value: float) -> tuple[bytes, str]:
        changed = tensor(name, parameters={"binary_data_size": 8})
        del changed["data"]
        head = json.dumps(document(**{name: changed})).encode()
        return head + struct.pack("<d", value), str(len(head))

    assert "a value is missing" in refusal(model, *binary("age", float("nan")))
    assert "infinite" in refusal(model, *binary("age", float("inf")))
    assert "infinite" in refusal(model, *binary("income", float("-inf")))
    assert np.isnan(decode(model, *binary("income", float("nan"))).inputs["income"][0])


@pytest.mark.parametrize("size", [-1, 7, 9, 10**20, "8", True, 1.5])
def test_binary_sizes(model: InferenceModel, size: Any) -> None:
    changed = tensor("age", parameters={"binary_data_size": size})
    del changed["data"]
    head = json.dumps(document(age=changed)).encode()
    refusal(model, head + bytes(8), str(len(head)))


@pytest.mark.parametrize("header", ["-1", "x", "1e3", "99999999999999999999", "100000", "²"])
def test_header_length(model: InferenceModel, header: str) -> None:
    assert "Inference-Header-Content-Length" in refusal(model, document(), header)


@pytest.mark.parametrize(
    "blob", [b"\x05\0\0\0abc", b"\xff\xff\xff\xffabc", b"\0\0", b"\x01\0\0\0\xff", b"\0\0\0\0" * 2]
)
def test_binary_texts(model: InferenceModel, blob: bytes) -> None:
    changed = tensor("city", parameters={"binary_data_size": len(blob)})
    del changed["data"]
    head = json.dumps(document(city=changed)).encode()
    assert "'city'" in refusal(model, head + blob, str(len(head)))


def test_uint8_range_and_ragged_images(images: Path) -> None:
    model = InferenceModel.load(images)

    def image(data: Any) -> dict[str, Any]:
        return {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 8, 8], "data": data}]}

    rows = [[0] * 8 for _ in range(8)]
    decode(model, json.dumps(image([rows])).encode(), None)
    assert "doesn't fit" in refusal(model, image([[[256, *rows[0][1:]], *rows[1:]]]))
    assert "fraction" in refusal(model, image([[[0.5, *rows[0][1:]], *rows[1:]]]))
    assert "doesn't have the shape" in refusal(model, image([[rows[0][1:], *rows[1:]]]))
    assert "doesn't have the shape" in refusal(model, image([rows[1:]]))


def test_finite_input_that_overflows_the_model_is_the_clients_error(model: InferenceModel) -> None:
    request = decode(model, json.dumps(document(age=tensor("age", data=[1e300]))).encode(), None)
    with pytest.raises(RequestError, match="too large for the model"):
        infer_response(model, request, model.run(request.inputs), "")


def test_compressed_bodies() -> None:
    body = b"x" * 1000
    assert decompress(gzip.compress(body), "gzip", 1000) == body
    assert decompress(zlib.compress(body), "deflate", 1000) == body
    for data, encoding, status in [
        (gzip.compress(bytes(10**7)), "gzip", 413),
        (gzip.compress(body)[:-1], "gzip", 400),
        (gzip.compress(body) + b"more", "gzip", 400),
        (b"nothing", "deflate", 400),
        (body, "br", 415),
    ]:
        with pytest.raises(RequestError) as caught:
            decompress(data, encoding, 1000)
        assert caught.value.status == status


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(30 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(RequestError, match="larger than"):
            decompress(bomb, "gzip", 1000)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
VALUES = JSON | st.lists(st.integers(0, 3), max_size=3) | st.floats().map(str)
FIELDS = st.sampled_from(["name", "datatype", "shape", "data", "parameters"])
PLACES = st.sampled_from(["age", "income", "city", "id", "parameters", "outputs", "inputs"])


@settings(max_examples=400, deadline=None)
@given(place=PLACES, field=FIELDS, value=VALUES, binary=st.binary(max_size=24), size=st.none() | st.integers(-1, 30))
def test_fuzz_document(
    model: InferenceModel, place: str, field: str, value: Any, binary: bytes, size: int | None
) -> None:
    body = document()
    if place in ("age", "income", "city"):
        changed = tensor(place)
        if size is not None:
            del changed["data"]
            changed["parameters"] = {"binary_data_size": size}
        body = document(**{place: changed | {field: value}})
    else:
        body[place] = value
    head = json.dumps(body).encode()
    with suppress(RequestError):  # anything else would be a 500
        request = decode(model, head + binary, str(len(head)))
        infer_response(model, request, model.run(request.inputs), "gzip")


@settings(max_examples=150, deadline=None)
@given(
    line=st.sampled_from([b"POST /v2/models/table/infer HTTP/1.1", b"GET /v2 HTTP/1.1", b"PUT /v2 HTTP/1.1"])
    | st.binary(max_size=40),
    headers=st.lists(st.tuples(st.sampled_from([b"content-encoding", b"inference-header-content-length", b"x"]),
                               st.sampled_from([b"gzip", b"deflate", b"5"]) | st.binary(max_size=10)), max_size=3),
    body=st.binary(max_size=60) | st.just(json.dumps(document()).encode()),
)  # fmt: skip
def test_fuzz_bytes(table_server: Served, line: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    head = b"".join(b"%s: %s\r\n" % header for header in headers)
    request = (
        line + b"\r\nhost: x\r\nconnection: close\r\n" + head + b"content-length: %d\r\n\r\n%s" % (len(body), body)
    )
    with socket.create_connection((table_server.host, table_server.port), timeout=5) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        try:
            answer = connection.recv(65536)
        except ConnectionResetError:
            answer = b""
    assert not answer or answer.split(b" ")[1][:1] in (b"2", b"4"), answer
    assert table_server.process.poll() is None
