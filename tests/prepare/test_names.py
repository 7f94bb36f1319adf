"""Columns may have any name: Polars takes some for patterns, CSV has to quote others."""

import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from support.prepared import run_script_stage, run_stage
from trainyard_storage import open_store
from trainyard_trainer.data import SplitReader

ROWS = 60
NAMES = ["*", "^a$", "a", "a b", '"', "größe 尺寸", "count"]
TARGET = "label\n"


def table() -> pl.DataFrame:
    rng = np.random.default_rng(4)
    frame = pl.DataFrame({name: rng.normal(number, 1, ROWS) for number, name in enumerate(NAMES)})
    hole = pl.Series([number % 10 == 0 for number in range(ROWS)])
    first = pl.when(hole).then(None).otherwise(pl.Series(frame["*"])).alias("*")
    texts = pl.Series("^b.*$", ["x", "y", "z"] * (ROWS // 3))
    return frame.with_columns(first, texts, pl.Series(TARGET, ["up", "down"] * (ROWS // 2)))


@pytest.mark.parametrize("format", ["parquet", "csv", "jsonl"])
def test_every_column_is_its_own(tmp_path: Path, format: str) -> None:
    frame, path = table(), tmp_path / f"t.{format}"
    {"parquet": frame.write_parquet, "csv": frame.write_csv, "jsonl": frame.write_ndjson}[format](path)
    data = {"uri": str(path), "target": TARGET, "split": {"stratify": True}}
    result = run_stage(tmp_path / "run", data, {"scale": "none", "missing": {"numeric": "drop"}})
    assert [column.name for column in result.plan.inputs] == [*NAMES, "^b.*$"]
    found = np.concatenate([result.features(split) for split in result.manifest.splits])[:, : len(NAMES)]
    expected = frame.filter(frame["*"].is_not_null())[NAMES].to_numpy().astype(np.float32)
    assert sorted(map(tuple, found)) == sorted(map(tuple, expected))
    assert result.frame("raw/test").columns == [*NAMES, "^b.*$"]


def test_any_column_may_be_target_key_or_left_out(tmp_path: Path) -> None:
    table().write_parquet(tmp_path / "t.parquet")
    data = {"uri": str(tmp_path / "t.parquet"), "target": "^b.*$", "split": {"key": "a b"}, "categorical": ["*"]}
    prepare_as = {"drop": ["^a$", TARGET], "balance": "oversample", "missing": {"categorical": "constant"}}
    result = run_stage(tmp_path / "run", data, prepare_as)
    assert [column.name for column in result.plan.inputs] == ["a", '"', "größe 尺寸", "count"]  # `*` looks like names
    assert result.plan.target.classes == ["x", "y", "z"]


def test_scripts_get_every_column(tmp_path: Path) -> None:
    frame = table()
    frame.write_parquet(tmp_path / "t.parquet")
    result = run_script_stage(tmp_path / "run", {"uri": str(tmp_path / "t.parquet")})
    store = open_store(result.data.uri)
    batches = list(SplitReader(store, result.manifest, "train", batch_size=8, seed=0).epoch(0))
    read = {name: np.concatenate([batch.fields[name][batch.weight > 0] for batch in batches]) for name in frame.columns}
    keys = [shard.key for shard in result.manifest.splits["train"]]
    written = pl.concat([pl.read_parquet(io.BytesIO(store.get(key))) for key in keys])
    for name in frame.columns:
        assert sorted(map(str, read[name].tolist())) == sorted(map(str, written[name].to_list())), name
