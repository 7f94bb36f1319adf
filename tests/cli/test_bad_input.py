"""What a hurried person gives: each ends in one plain message, an exit code that says whose fault, and nothing left."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from support.images import write_images
from support.s3_server import S3Server

TRAINYARD = str(Path(sys.executable).with_name("trainyard"))


def run(folder: Path, recipe: dict[str, Any], *arguments: str, **spec: Any) -> subprocess.CompletedProcess[str]:
    recipe = {"data": {"uri": "data.csv", "target": "label"}, **recipe}
    manifest = {
        "apiVersion": "trainyard.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "bad"},
        "spec": {"recipe": recipe, **spec},
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(manifest))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TRAINYARD_METRICS_PORT": "0"}
    command = [TRAINYARD, "run", str(folder / "job.yaml"), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def plain(done: subprocess.CompletedProcess[str], code: int, *said: str) -> None:
    """It ended with `code`, and its message names all of `said` without a traceback."""
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert len(done.stderr.splitlines()) <= 12, done.stderr
    for part in said:
        assert part in done.stderr, done.stderr


def nothing_left(folder: Path) -> None:
    markers = ("COMMITTED", "TRAINED.json", "PUBLISHED.json", "manifest.json")
    assert [str(path) for path in folder.rglob("*") if path.name in markers] == []


def table(rows: int = 60) -> pl.DataFrame:
    return pl.DataFrame({"a": range(rows), "b": [i * 0.5 for i in range(rows)], "label": ["x", "y"] * (rows // 2)})


def write(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[Path], None]:
    return lambda path: change(table()).write_csv(path)


DATA: dict[str, tuple[Callable[[Path], Any], int, tuple[str, ...]]] = {
    "missing": (lambda path: None, 2, ("data.csv", "remedy:")),
    "empty": (lambda path: path.write_text(""), 2, ("data.csv", "empty")),
    "header only": (lambda path: path.write_text("a,b,label\n"), 2, ("data.csv",)),
    "no target": (write(lambda t: t.rename({"label": "lable"})), 2, ("label", "lable")),
    "one class": (write(lambda t: t.with_columns(label=pl.lit("x"))), 2, ("label", "x")),
    "all missing": (write(lambda t: t.with_columns(b=pl.lit(None, pl.Float64))), 2, ("b", "drop")),
    "a folder of its name": (lambda path: path.mkdir(), 2, ("data.csv",)),
}


@pytest.mark.parametrize("case", DATA)
def test_bad_data(case: str, tmp_path: Path) -> None:
    make, code, said = DATA[case]
    make(tmp_path / "data.csv")
    plain(run(tmp_path, {}), code, *said)
    nothing_left(tmp_path)


def test_more_ranks_than_samples(tmp_path: Path) -> None:
    table().head(1).write_csv(tmp_path / "data.csv")
    data = {"uri": "data.csv", "target": "b", "task": "regression"}
    plain(
        run(tmp_path, {"data": data}, processesPerNode=2), 2, "1 rows, fewer than the 2 processes", "processesPerNode"
    )
    nothing_left(tmp_path)


@pytest.mark.parametrize("name", ["data.parquet", "data.tar"])
def test_a_corrupt_file_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"PAR1 not really" * 100)
    plain(run(tmp_path, {"data": {"uri": name, "target": "label"}}), 2, name)
    nothing_left(tmp_path)


def test_a_cut_parquet_file_is_named(tmp_path: Path) -> None:
    table(2000).write_parquet(tmp_path / "data.parquet")
    whole = (tmp_path / "data.parquet").read_bytes()
    (tmp_path / "data.parquet").write_bytes(whole[: len(whole) // 2])
    plain(run(tmp_path, {"data": {"uri": "data.parquet", "target": "label"}}), 2, "data.parquet")
    nothing_left(tmp_path)


def test_too_many_corrupt_samples_stop_the_run(tmp_path: Path) -> None:
    write_images(tmp_path / "data.tar", bad=8)
    plain(run(tmp_path, {"data": {"uri": "data.tar", "target": "cls"}, "model": {"type": "cnn"}}), 2, "maxBadShare")
    nothing_left(tmp_path)


@pytest.mark.parametrize(
    ("recipe", "spec", "said"),
    [
        ({"trian": {}}, {}, ("recipe.trian", "train")),
        ({"train": {"epochs": "ten"}}, {}, ("epochs", "'ten'")),
        ({"train": {"batchSize": 0}}, {}, ("batchSize",)),
        ({}, {"script": {"command": ["train.py"]}}, ("recipe", "script")),
    ],
)
def test_a_wrong_manifest(recipe: dict[str, Any], spec: dict[str, Any], said: tuple[str, ...], tmp_path: Path) -> None:
    table().write_csv(tmp_path / "data.csv")
    plain(run(tmp_path, recipe, **spec), 2, "job.yaml:", *said)
    assert {path.name for path in tmp_path.iterdir()} == {"data.csv", "job.yaml"}


def test_a_loss_that_turns_nan_names_step_and_learning_rate(tmp_path: Path) -> None:
    table().write_csv(tmp_path / "data.csv")
    train = {"batchSize": 8, "epochs": 50, "optimizer": {"type": "sgd", "learningRate": 1e20}}
    done = run(tmp_path, {"data": {"uri": "data.csv", "target": "b"}, "train": train})
    plain(done, 2, "step", "1e+20", "learningRate")
    assert not list(tmp_path.rglob("TRAINED.json"))


@pytest.fixture
def a_terabyte_at_most() -> Iterator[None]:
    """Of address space: a machine may be set to grant any amount of it, and then run out of memory."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 40, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.usefixtures("a_terabyte_at_most")
def test_out_of_memory_names_the_batch_size(tmp_path: Path) -> None:
    table().write_csv(tmp_path / "data.csv")
    model = {"type": "mlp", "hidden": [2_000_000, 2_000_000]}  # 16 TB of weights
    done = run(tmp_path, {"model": model}, recovery={"maxRestarts": 0})
    assert done.returncode in (1, 2)
    plain(done, done.returncode, "memory", "batchSize")
    assert not list(tmp_path.rglob("TRAINED.json"))


def test_a_bucket_that_is_missing(tmp_path: Path, s3: S3Server) -> None:
    table().write_csv(tmp_path / "data.csv")
    plain(run(tmp_path, {}, "--storage", s3.missing_bucket()), 2, "bucket", "remedy:")
    nothing_left(tmp_path)


def test_wrong_credentials(tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    table().write_csv(tmp_path / "data.csv")
    bucket = s3.bucket()
    for name, value in s3.stranger().items():
        monkeypatch.setenv(name, value)
    plain(run(tmp_path, {}, "--storage", bucket), 2, bucket, "remedy:")
    nothing_left(tmp_path)


def test_a_bucket_that_only_answers_readers(tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    table().write_csv(tmp_path / "data.csv")
    bucket = s3.bucket()
    for name, value in s3.reader(bucket).items():
        monkeypatch.setenv(name, value)
    plain(run(tmp_path, {}, "--storage", bucket), 2, bucket, "remedy:")
    nothing_left(tmp_path)
