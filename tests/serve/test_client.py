"""The protocol as the real client, tritonclient.http, speaks it."""

import http.client
import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton

from support.serving import Served
from trainyard_server.model import InferenceModel

ROWS: dict[str, Any] = {
    "age": np.array([10.0, 50.0, 20.0]),
    "income": np.array([3000.0, np.nan, 2000.0]),
    "city": np.array(["Bern", "Zürich", "nowhere"], object),
}


@pytest.fixture
def client(table_server: Served) -> Iterator[triton.InferenceServerClient]:
    client = triton.InferenceServerClient(table_server.address, concurrency=8)
    yield client
    client.close()


def tensors(rows: dict[str, Any], binary: bool) -> list[triton.InferInput]:
    inputs = []
    for name, array in rows.items():
        tensor = triton.InferInput(name, list(array.shape), "BYTES" if array.dtype == object else "FP64")
        inputs.append(tensor.set_data_from_numpy(array, binary_data=binary))
    return inputs


def finite(rows: dict[str, Any]) -> dict[str, Any]:
    """`rows` without NaN, which JSON can't write."""
    return rows | {"income": np.nan_to_num(rows["income"], nan=1000.0)}


def test_health_and_metadata(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("table")
    assert client.is_model_ready("table", "0123456789ab")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["name"] == "trainyard"
    metadata = client.get_model_metadata("table", "0123456789ab")
    assert metadata["versions"] == ["0123456789ab"]
    assert metadata["inputs"][0] == {"name": "age", "datatype": "FP64", "shape": [-1]}
    assert metadata["inputs"][1]["parameters"] == {"nullable": True}
    assert metadata["outputs"] == [
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2], "parameters": {"classes": ["no", "yes"]}},
    ]


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_infer(
    client: triton.InferenceServerClient, table: Path, binary_in: bool, binary_out: bool, compression: str | None
) -> None:
    rows = {name: np.tile(array, 40) for name, array in (ROWS if binary_in else finite(ROWS)).items()}
    outputs = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in ("probabilities", "label")]
    result = client.infer(
        "table",
        tensors(rows, binary_in),
        outputs=outputs,
        request_id="17",
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
    )
    expected = InferenceModel.load(table).predict(rows)
    answer = result.get_response()
    assert answer["id"] == "17"
    assert [output["name"] for output in answer["outputs"]] == ["probabilities", "label"]
    np.testing.assert_allclose(result.as_numpy("probabilities"), expected["probabilities"], rtol=1e-6)
    labels = [x.decode() if isinstance(x, bytes) else x for x in result.as_numpy("label")]
    assert labels == expected["label"].tolist()


def test_label_follows_the_inputs(client: triton.InferenceServerClient) -> None:
    label = client.infer("table", tensors(ROWS, binary=True)).as_numpy("label")
    # logits: [3, 1 + 0], [1 (missing income), 5 + 2], [2, 2 + 0 (unknown city)]; the first of equals wins
    assert label.tolist() == [b"no", b"yes", b"no"]


def test_one_output_only(client: triton.InferenceServerClient) -> None:
    result = client.infer("table", tensors(ROWS, True), outputs=[triton.InferRequestedOutput("label")])
    assert [output["name"] for output in result.get_response()["outputs"]] == ["label"]


def test_missing_values_as_null(table_server: Served) -> None:
    body = {
        "inputs": [
            {"name": "age", "datatype": "FP64", "shape": [1], "data": [20]},
            {"name": "income", "datatype": "FP64", "shape": [1], "data": [None]},
            {"name": "city", "datatype": "BYTES", "shape": [1], "data": [None]},
        ]
    }
    url = f"http://{table_server.address}/v2/models/table/infer"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode()), timeout=10) as answer:
        assert json.load(answer)["outputs"][0]["data"] == ["yes"]


def test_images_in_all_forms_agree(image_server: Served, images: Path) -> None:
    batch = np.random.default_rng(1).integers(0, 256, (5, 8, 8), dtype=np.uint8)
    client = triton.InferenceServerClient(image_server.address)
    expected = InferenceModel.load(images).predict({"image": batch})["probabilities"]
    for data in (batch.tolist(), batch.ravel().tolist(), None):
        tensor = triton.InferInput("image", [5, 8, 8], "UINT8").set_data_from_numpy(batch, binary_data=data is None)
        if data is not None:
            tensor._data = data
        result = client.infer("digits", [tensor])
        np.testing.assert_allclose(result.as_numpy("probabilities"), expected, rtol=1e-5, atol=1e-7)
    client.close()


def test_many_at_once_each_gets_its_own_answer(image_server: Served, images: Path) -> None:
    rng = np.random.default_rng(2)
    batches = [rng.integers(0, 256, (1 + i % 3, 8, 8), dtype=np.uint8) for i in range(200)]
    model = InferenceModel.load(images)

    def ask(batch: np.ndarray) -> np.ndarray:
        client = triton.InferenceServerClient(image_server.address)
        try:
            tensor = triton.InferInput("image", list(batch.shape), "UINT8").set_data_from_numpy(batch)
            return client.infer("digits", [tensor]).as_numpy("probabilities")
        finally:
            client.close()

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(ask, batches))
    for batch, answer in zip(batches, answers, strict=True):
        np.testing.assert_allclose(answer, model.predict({"image": batch})["probabilities"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "said"),
    [
        ("POST", "/v2/models/other/infer", {}, 404, "there is no model 'other' here; 'table' is"),
        ("POST", "/v2/models/table/versions/7/infer", {}, 404, "model 'table' has no version '7' here"),
        ("GET", "/v2/models/other", {}, 404, "there is no model 'other'"),
        ("GET", "/v2/model/table", {}, 404, "there is nothing at /v2/model/table"),
        ("GET", "/v2/models/table/infer", {}, 405, "GET isn't allowed here; POST is"),
        ("POST", "/v2/health/ready", {}, 405, "POST isn't allowed here; GET is"),
        ("POST", "/v2/models/table/infer", {"Content-Encoding": "br"}, 415, "Content-Encoding 'br' isn't known"),
    ],
)
def test_refusals(
    table_server: Served, method: str, path: str, headers: dict[str, str], status: int, said: str
) -> None:
    connection = http.client.HTTPConnection(table_server.host, table_server.port, timeout=30)
    connection.request(method, path, b"{}" if method == "POST" else None, headers)
    answer = connection.getresponse()
    assert answer.status == status
    assert json.loads(answer.read())["error"].startswith(said)
    assert answer.getheader("allow") == (said.split()[-2] if status == 405 else None)
    connection.close()


def test_metrics_follow_conventions(client: triton.InferenceServerClient, table_server: Served) -> None:
    client.infer("table", tensors(ROWS, True))
    with urllib.request.urlopen(f"http://{table_server.address}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(lines['trainyard_server_requests_total{code="200",route="infer"}']) >= 1
    assert float(lines["trainyard_server_batch_rows_count"]) >= 1
    assert lines['trainyard_server_model_info{model="table",task="binary",version="0123456789ab"}'] == "1.0"
    assert lines["trainyard_server_requests_in_flight"] == "0.0"
    assert lines["trainyard_server_queue_requests"] == "0.0"
    assert "trainyard_server_request_duration_seconds_bucket" in text
