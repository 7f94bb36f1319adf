"""Where a model comes from, and that a damaged one is never served."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.onnx_models import table_model
from trainyard_api.errors import TrainyardError
from trainyard_server.model import InferenceModel
from trainyard_server.model_store import resolve_model
from trainyard_storage import open_store

ROW: dict[str, Any] = {"age": [50.0], "income": [0.0], "city": ["Oslo"]}


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    table_model(tmp_path / "run" / "model" / "0123456789ab")
    (tmp_path / "run" / "PUBLISHED.json").write_text(json.dumps({"version": "0123456789ab"}))
    return tmp_path / "run"


def test_run_folder_and_model_folder(run_folder: Path) -> None:
    folder = run_folder / "model" / "0123456789ab"
    assert resolve_model(str(run_folder)) == resolve_model(f"file://{folder}") == folder
    assert InferenceModel.load(folder).predict(ROW)["label"].tolist() == ["yes"]


def test_s3(run_folder: Path, s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINYARD_CACHE", str(tmp_path / "cache"))
    uri = f"{s3.bucket()}/run"
    store = open_store(uri)
    for file in run_folder.rglob("*.*"):
        if file.is_file():
            store.upload(file, str(file.relative_to(run_folder)))
    folder = resolve_model(uri)
    assert folder == resolve_model(f"{uri}/model/0123456789ab")
    assert InferenceModel.load(folder).predict(ROW)["label"].tolist() == ["yes"]
    assert len(list((tmp_path / "cache" / "models").iterdir())) == 1
    (folder / "model.onnx").write_bytes(b"flipped")
    with pytest.raises(TrainyardError, match="damaged"):
        resolve_model(uri)


def damage(folder: Path) -> None:
    data = bytearray((folder / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.onnx").write_bytes(data)


def no_onnx(folder: Path) -> None:
    (folder / "manifest.json").write_text(json.dumps({"files": {"signature.json": {"xxh3": "0"}}}))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (damage, "model.onnx isn't what manifest.json says"),
        (no_onnx, "has no model.onnx"),
        (lambda folder: (folder / "model.onnx").unlink(), "model.onnx can't be read"),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda folder: (folder / "signature.json").unlink(), "no published model"),
    ],
)
def test_damaged_model(tmp_path: Path, harm: Any, said: str) -> None:
    harm(table_model(tmp_path))
    with pytest.raises(TrainyardError, match=said):
        resolve_model(str(tmp_path))


@pytest.mark.parametrize("name", ["signature.json", "model.onnx"])
def test_unusable_model(tmp_path: Path, name: str) -> None:
    (table_model(tmp_path) / name).write_bytes(b"{}")
    with pytest.raises(TrainyardError, match="no model that can be served"):
        InferenceModel.load(tmp_path)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"age": [1.0]}, "'income' is missing"),
        (ROW | {"x": [1]}, "no input 'x'"),
        (ROW | {"age": [float("nan")]}, "none may"),
        (ROW | {"age": ["old"]}, "'age'"),
        (ROW | {"age": [[1.0]]}, "shape is"),
        (ROW | {"age": [1.0, 2.0]}, "differ in rows"),
        (ROW | {"city": [3]}, "other than text"),
    ],
)
def test_predict_says_what_is_wrong(tmp_path: Path, inputs: dict[str, Any], said: str) -> None:
    with pytest.raises(TrainyardError, match=said):
        InferenceModel.load(table_model(tmp_path)).predict(inputs)


def test_predict_casts_and_fills(tmp_path: Path) -> None:
    model = InferenceModel.load(table_model(tmp_path))
    answer = model.predict({"age": np.array([50], np.int32), "income": [np.nan], "city": np.array([None], object)})
    assert answer["label"].tolist() == ["yes"]
