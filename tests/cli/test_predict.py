"""`trainyard predict`: formats, wrong input, and where a model is found."""

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from support.onnx_models import image_model, table_model
from trainyard_cli.main import main
from trainyard_storage import digest, open_store

ROWS = [{"age": 50.0, "income": 0.0, "city": "Oslo"}, {"age": 1.0, "income": None, "city": None}]


def add_sample(folder: Path, sample: dict[str, Any]) -> None:
    """As the publish stage leaves it: in the folder and in its manifest."""
    data = json.dumps(sample).encode()
    (folder / "sample.json").write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["sample.json"] = {"bytes": len(data), "xxh3": digest(data)}
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A job's folder with one published run of the table model."""
    run = tmp_path / "runs" / "default" / "job" / "aaaaaaaaaaaa"
    folder = table_model(run / "model" / "0123456789ab")
    add_sample(folder, {"input": ROWS[0], "output": {"label": "yes"}, "expected": "yes"})
    (run / "PUBLISHED.json").write_text(json.dumps({"version": "0123456789ab"}))
    return run.parent


def predict(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> list[dict[str, Any]]:
    assert main(["predict", *map(str, arguments)]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main(["predict", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return captured.err


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    table = pl.DataFrame(rows, schema={"age": pl.Float64, "income": pl.Float64, "city": pl.String})
    if path.suffix == ".csv":
        table.write_csv(path)
    elif path.suffix == ".parquet":
        table.write_parquet(path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, indent=1))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("ending", ["csv", "parquet", "json", "jsonl"])
def test_every_format_gives_the_same(
    model: Path, tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = predict(capsys, model, "--input", write(tmp_path / f"rows.{ending}", ROWS))
    assert [row["label"] for row in found] == ["yes", "no"]
    shares = found[0]["probabilities"]
    assert sum(shares.values()) == pytest.approx(1)
    assert found[0]["probability"] == shares["yes"]


def test_the_sample_of_the_test_split(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = predict(capsys, model)
    assert (found["label"], found["expected"]) == ("yes", "yes")


@pytest.mark.parametrize("text", ['{"age": 50, "income": null, "city": "Oslo"}', "age,income,city\n50,NA,Oslo\n"])
def test_standard_input(
    model: Path, text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    (found,) = predict(capsys, model, "--input", "-")
    assert found["label"] == "yes"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("age,city\n1,Oslo\n", "column income is missing"),
        ("age,Income,city\n1,2,Oslo\n", "column income is missing; column Income is not an input"),
        ("age,income,city\n1,2,Oslo\nold,2,Oslo\n", "Column age, row 2: 'old' is not a number"),
        ("age,income,city\n,2,Oslo\n", "Column age, row 1: the value is missing"),
        ("age,income,city\n1,inf,Oslo\n", "Column income, row 1: 'inf' is not a finite number"),
        ('{"age": 1, "income": [2], "city": "Oslo"}', "Column income, row 1: [2] is not a number"),
        ('{"age": 1, "income": 2, "city": {}}', "Column city, row 1: {} is not text"),
        ('{"age": 1, "income": 2, "city": ""}\n{"age": 1, "income": 2}', "differ in the columns city"),
        ('{"age": 1,\n', "input.txt:1"),
        ("[1, 2]", "row 1 is no object"),
        ("", "can't be read"),
        ("age,income,city\n", "there are no rows"),
        ("age,income,city\n1,2,Oslo\n\"1\",2\n", "row 2 has 2 fields, not 3"),
        ("age,income,age\n1,2,3\n", "two columns have one name"),
        ("age,income,city\n1,2,\"Oslo\n", "no valid CSV: unexpected end of data"),
    ],
)  # fmt: skip
def test_wrong_input_is_named(
    model: Path, tmp_path: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "input.txt").write_text(text)
    assert said in refused(capsys, model, "--input", tmp_path / "input.txt")


def test_files_that_can_not_be_read(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "broken.png").write_bytes(b"no image")
    said = refused(capsys, model, "--input", tmp_path / "absent.csv")
    assert "No such file" in said
    assert "Check the path" in said
    assert "no valid Parquet" in refused(capsys, model, "--input", tmp_path / "broken.parquet")
    assert "not images" in refused(capsys, model, "--input", tmp_path / "broken.png")
    image_model(tmp_path / "images")
    assert "no readable PNG" in refused(capsys, tmp_path / "images", "--input", tmp_path / "broken.png")


def test_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = image_model(tmp_path / "images")
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "digit.png")
    by_file = predict(capsys, folder, "--input", tmp_path / "digit.png")
    (tmp_path / "digit.json").write_text(json.dumps({"image": pixels.tolist()}))
    assert by_file == predict(capsys, folder, "--input", tmp_path / "digit.json")
    (tmp_path / "digit.json").write_text(json.dumps({"image": pixels[:7].tolist()}))
    assert "of shape [8, 8], but of shape [7, 8]" in refused(capsys, folder, "--input", tmp_path / "digit.json")
    (tmp_path / "digit.json").write_text(json.dumps({"image": (pixels + 0.5).tolist()}))
    assert "UINT8 without rounding" in refused(capsys, folder, "--input", tmp_path / "digit.json")
    assert "without a sample" in refused(capsys, folder)


def test_the_newest_run_of_a_job(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    newer = model / "bbbbbbbbbbbb"
    folder = table_model(newer / "model" / "ffffffffffff")
    add_sample(folder, {"input": ROWS[1], "output": {}, "expected": "newer"})
    (newer / "PUBLISHED.json").write_text(json.dumps({"version": "ffffffffffff"}))
    older = (model / "aaaaaaaaaaaa" / "PUBLISHED.json").stat().st_mtime
    os.utime(newer / "PUBLISHED.json", (older + 60, older + 60))
    assert predict(capsys, model)[0]["expected"] == "newer"
    assert predict(capsys, model / "aaaaaaaaaaaa")[0]["expected"] == "yes"


def test_object_storage_and_a_flipped_byte(
    model: Path, s3: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINYARD_CACHE", str(tmp_path / "cache"))
    uri = f"{s3.bucket()}/job"
    store = open_store(uri)
    files = [path for path in model.rglob("*") if path.is_file()]
    for path in files:
        store.upload(path, path.relative_to(model).as_posix())
    assert predict(capsys, uri)[0]["expected"] == "yes"
    graph = next(path for path in files if path.name == "model.onnx")
    data = bytearray(graph.read_bytes())
    data[len(data) // 2] ^= 1
    graph.write_bytes(data)
    assert "damaged" in refused(capsys, model)
    store.upload(graph, graph.relative_to(model).as_posix())
    monkeypatch.setenv("TRAINYARD_CACHE", str(tmp_path / "other"))
    assert "damaged" in refused(capsys, uri)


def test_columns_that_are_no_inputs_are_left_aside_and_named(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.csv").write_text("id,age,income,city,paid\nx,50,0,Oslo,yes\n")
    assert main(["predict", str(model), "--input", str(tmp_path / "rows.csv")]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["label"] == "yes"
    assert captured.err == "Left aside, as the model doesn't ask for them: id, paid\n"


def test_truth_values_of_csv_are_numbers(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = []
    for income in ("True", "1"):
        (tmp_path / "rows.csv").write_text(f"age,income,city\n50,{income},Oslo\n")
        answers += predict(capsys, model, "--input", tmp_path / "rows.csv")
    assert answers[0] == answers[1]


def test_csv_is_read_as_in_training(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Blanks, texts that mean missing, quotes, a byte order mark and blank lines: all as if written plainly."""
    plain = b"age,income,city\n50,,Oslo\n2,7,\n1,0,Bern\n"
    other = b'\xef\xbb\xbf\r\nage,"income",city\r\n 50 , -999, Oslo\r\n\r\n2,"7 ",NA\r\n"1",0,"Bern"\r\n'
    answers = []
    for text in (plain, other):
        (tmp_path / "rows.csv").write_bytes(text)
        answers.append(predict(capsys, model, "--input", tmp_path / "rows.csv"))
    assert answers[0] == answers[1]
    assert len(answers[0]) == 3
