"""What is wrong with data ends in one plain message that names it, and nothing is written."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from support.prepared import run_stage
from support.s3_server import S3Server
from trainyard_api.errors import TrainyardError
from trainyard_storage import open_store

ROWS = 40


def good() -> pl.DataFrame:
    rng = np.random.default_rng(3)
    return pl.DataFrame(
        {"size": rng.normal(size=ROWS), "kind": ["a", "b"] * (ROWS // 2), "label": [0, 1] * (ROWS // 2)}
    )


def refused(tmp_path: Path, frame: pl.DataFrame | None, *words: str, **data: Any) -> TrainyardError:
    """Run the stage on `frame`; the one error must hold `words`."""
    if frame is not None:
        frame.write_parquet(tmp_path / "t.parquet")
    prepare_as, processes = data.pop("prepare_as", {}), data.pop("processes", 1)
    fields = (
        {"target": "label", **data} if "splits" in data else {"uri": f"{tmp_path}/t.parquet", "target": "label", **data}
    )
    with pytest.raises(TrainyardError) as caught:
        run_stage(tmp_path / "run", fields, prepare_as, processes)
    assert not (tmp_path / "run").exists()
    message = str(caught.value)
    for word in words:
        assert word in message, message
    assert caught.value.remedy
    assert caught.value.code == 2
    return caught.value


def test_missing_data(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a,b\n1,2\n")
    refused(tmp_path, None, "no data", "Did you mean", "train.csv", uri=str(tmp_path / "trian.csv"))


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    refused(tmp_path, None, "empty", uri=str(tmp_path / "empty.csv"))


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_no_rows(tmp_path: Path, name: str) -> None:
    (tmp_path / "t.csv").write_text("size,kind,label\n")
    good()[:0].write_parquet(tmp_path / "t.parquet")
    refused(tmp_path, None, "no rows", uri=str(tmp_path / name))


def test_unknown_target(tmp_path: Path) -> None:
    refused(tmp_path, good(), "lable", "Did you mean label?", "size, kind, label", target="lable")


def test_one_class(tmp_path: Path) -> None:
    refused(tmp_path, good().with_columns(label=pl.lit("yes")), "one class", "yes")


def test_constant_regression_target(tmp_path: Path) -> None:
    refused(tmp_path, good().with_columns(label=pl.lit(1.5)), "1.5 in every training row")


@pytest.mark.parametrize("value", [None, float("nan")])
def test_column_without_values(tmp_path: Path, value: float | None) -> None:
    frame = good().with_columns(void=pl.lit(value, pl.Float64))
    refused(tmp_path, frame, "Column void has no value", "prepare.drop: [void]")
    frame.write_parquet(tmp_path / "t.parquet")
    fields = {"uri": str(tmp_path / "t.parquet"), "target": "label"}
    assert run_stage(tmp_path / "run", fields, {"drop": ["void"]}).plan.inputs


def test_fewer_rows_than_ranks(tmp_path: Path) -> None:
    refused(tmp_path, good()[:8], "fewer than the 7 processes", processes=7)


def test_unknown_class_in_a_given_split(tmp_path: Path) -> None:
    good().write_parquet(tmp_path / "a.parquet")
    good()[:10].with_columns(pl.lit(7, pl.Int64).alias("label")).write_parquet(tmp_path / "b.parquet")
    splits = {"train": str(tmp_path / "a.parquet"), "test": str(tmp_path / "b.parquet")}
    refused(tmp_path, None, "test split has the class 7", splits=splits)


def test_corrupt_parquet(tmp_path: Path) -> None:
    good().write_parquet(tmp_path / "0.parquet")
    good().write_parquet(tmp_path / "1.parquet")
    data = (tmp_path / "1.parquet").read_bytes()
    (tmp_path / "1.parquet").write_bytes(data[: len(data) // 2])
    refused(tmp_path, None, "1.parquet", "can't be read", uri=f"{tmp_path}/*.parquet")
    (tmp_path / "1.parquet").write_bytes(b"PAR1" + bytes(len(data) - 12) + data[-8:])
    refused(tmp_path, None, "1.parquet", "can't be read", uri=f"{tmp_path}/*.parquet")


def test_damaged_pages_of_parquet_name_the_file(tmp_path: Path) -> None:
    for name in ("0", "1"):
        pl.DataFrame({"size": np.random.default_rng(1).normal(size=5000), "label": [0, 1] * 2500}).write_parquet(
            tmp_path / f"{name}.parquet", compression="zstd"
        )
    data = bytearray((tmp_path / "1.parquet").read_bytes())
    data[100:20_000] = bytes(19_900)
    (tmp_path / "1.parquet").write_bytes(data)
    refused(tmp_path, None, "1.parquet", "can't be read", uri=f"{tmp_path}/*.parquet")


def test_files_of_other_columns(tmp_path: Path) -> None:
    good().write_parquet(tmp_path / "0.parquet")
    good().rename({"size": "weight"}).write_parquet(tmp_path / "1.parquet")
    refused(tmp_path, None, "1.parquet", "lacks size", "has also weight", uri=f"{tmp_path}/*.parquet")


def test_arrays_beside_scalars(tmp_path: Path) -> None:
    frame = good().with_columns(pl.Series("image", np.zeros((ROWS, 2, 2), np.uint8), dtype=pl.Array(pl.UInt8, (2, 2))))
    refused(tmp_path, frame, "image holds arrays", "size, kind", "prepare.drop")


def test_types_that_cannot_be_inputs(tmp_path: Path) -> None:
    frame = good().with_columns(pl.struct("size", "kind").alias("pair"))
    refused(tmp_path, frame, "pair", "Struct", "prepare.drop: [pair]")


def test_unknown_key(tmp_path: Path) -> None:
    refused(tmp_path, good(), "data.split.key", "Did you mean kind?", split={"key": "knd"})


def test_wishes_that_need_classes(tmp_path: Path) -> None:
    frame = good().with_columns(label=pl.col("size") * 2)
    refused(tmp_path, frame, "regression", split={"stratify": True})
    refused(tmp_path, frame, "regression", prepare_as={"balance": "oversample"})


def test_too_many_classes_for_binary(tmp_path: Path) -> None:
    refused(tmp_path, good().with_columns(pl.int_range(ROWS).mod(3).alias("label")), "3 classes", task="binary")


def test_text_as_regression_target(tmp_path: Path) -> None:
    refused(tmp_path, good().with_columns(label="kind"), "isn't a number", "'", task="regression")


def test_all_rows_dropped(tmp_path: Path) -> None:
    frame = good().with_columns(
        a=pl.when(pl.int_range(ROWS) % 2 == 0).then(1.0), b=pl.when(pl.int_range(ROWS) % 2 == 1).then(2.0)
    )
    refused(tmp_path, frame, "No row is left", prepare_as={"missing": {"numeric": "drop"}})


def test_a_bucket_that_may_only_be_read(tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    good().write_parquet(tmp_path / "t.parquet")
    bucket = s3.bucket()
    for name, value in s3.reader(bucket).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TrainyardError) as caught:
        run_stage(f"{bucket}/run", {"uri": str(tmp_path / "t.parquet"), "target": "label"})
    assert (caught.value.cause, caught.value.code) == ("StorageReadOnly", 2)
    assert list(open_store(bucket).list()) == []
