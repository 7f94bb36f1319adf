"""The stage from end to end: what it promises of rows, order and bytes."""

import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.prepared import Result, run_stage
from support.s3_server import S3Server
from trainyard_api.errors import TrainyardError
from trainyard_storage import open_store
from trainyard_trainer.data.committed import MARKER
from trainyard_trainer.prepare.features import transform

TESTS = Path(__file__).parent.parent


def table(rows: int = 400, seed: int = 0) -> pl.DataFrame:
    """Two numbers, one of them with missing values, a text, and a class that depends on them."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(5, 2, rows), rng.exponential(3, rows)
    hole = rng.random(rows) < 0.1
    return pl.DataFrame(
        {
            "x": x,
            "y": pl.Series(np.where(hole, np.nan, y)).fill_nan(None),
            "city": rng.choice(["oslo", "lima", "pune"], rows),
            "label": np.where(x > 5, "high", "low"),
        }
    )


def prepared(folder: Path, frame: pl.DataFrame, name: str = "run", **fields: Any) -> Result:
    frame.write_parquet(folder / "table.parquet")
    data = {"uri": str(folder / "table.parquet"), "target": "label", **fields.pop("data", {})}
    return run_stage(folder / name, data, **fields)


def test_splits_labels_and_features_agree_with_the_plan(tmp_path: Path) -> None:
    result = prepared(tmp_path, table())
    assert {split: result.manifest.rows(split) for split in ("train", "validation", "test")} == {
        "train": 280,
        "validation": 40,
        "test": 80,
    }
    assert len(result.manifest.splits["train"]) >= 8
    plan = result.plan
    assert plan.target.classes == ["high", "low"]
    assert plan.features == ["x", "y", *(f"city={c}" for c in plan.steps[-1].categories or []), "city unknown"]
    raw = result.frame("raw/test")
    assert raw.columns == ["x", "y", "city"]
    np.testing.assert_array_equal(transform(raw, plan), result.features("test"))
    train = result.features("train")
    assert train[:, :2].mean(axis=0) == pytest.approx(0, abs=1e-6)
    assert train[:, :2].std(axis=0) == pytest.approx(1, abs=1e-6)
    assert (train[:, 2:].sum(axis=1) == 1).all()


def test_another_seed_gives_another_split(tmp_path: Path) -> None:
    """Of the same sizes; the same seed gives the same one again."""
    tests = []
    for number, seed in enumerate((1, 2, 1)):
        result = prepared(tmp_path, table(), f"run{number}", data={"split": {"seed": seed}})
        tests.append(sorted(result.frame("raw/test")["x"]))
    assert len(tests[0]) == len(tests[1])
    assert len(set(tests[0]) & set(tests[1])) < len(tests[0]) / 2
    assert tests[0] == tests[2]


ALONE = """
import sys
from support.prepared import run_stage
run_stage(sys.argv[2], {"uri": sys.argv[1], "target": "label"})
"""


def test_every_process_writes_the_same_bytes(tmp_path: Path) -> None:
    """Whatever Python's own hashes start from, and on one thread of Polars as on several."""
    table().write_parquet(tmp_path / "table.parquet")
    found = []
    for threads in ("1", "3"):
        folder = tmp_path / threads
        environment = {**os.environ, "PYTHONPATH": str(TESTS), "PYTHONHASHSEED": threads, "POLARS_MAX_THREADS": threads}
        command = [sys.executable, "-c", ALONE, tmp_path / "table.parquet", folder]
        subprocess.run(command, env=environment, check=True)
        store = open_store(str(folder))
        found.append({info.key: store.get(info.key) for info in store.list()})
    assert len(found[0]) > 10
    assert found[0] == found[1]


def test_statistics_come_from_the_training_split_only(tmp_path: Path) -> None:
    frame = table()
    frame[:300].write_parquet(tmp_path / "train.parquet")
    frame[300:].with_columns(pl.col("x") * 1e9, city=pl.lit("rome")).write_parquet(tmp_path / "test.parquet")
    splits = {split: str(tmp_path / f"{split}.parquet") for split in ("train", "test")}
    with_test = run_stage(tmp_path / "both", {"splits": splits, "target": "label"})
    alone = run_stage(tmp_path / "alone", {"splits": {"train": splits["train"]}, "target": "label"})
    assert with_test.plan == alone.plan
    assert with_test.features("test")[:, -1].tolist() == [1.0] * 100  # rome is unknown


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 119), max_size=4, unique=True), st.randoms(use_true_random=False))
def test_same_bytes_however_the_source_is_cut(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], random: Any
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    frame = table(120)
    whole = prepared(folder, frame)
    shuffled = frame[random.sample(range(120), 120)]
    (folder / "parts").mkdir()
    edges = [0, *sorted(cuts), 120]
    for number, (start, end) in enumerate(itertools.pairwise(edges)):
        shuffled[start:end].write_parquet(folder / "parts" / f"{random.random()}-{number}.parquet")
    parts = run_stage(folder / "cut", {"uri": str(folder / "parts"), "target": "label"})
    assert parts.manifest == whole.manifest
    ours, theirs = whole.contents(), parts.contents()
    assert {key for key in ours if key != "card.json"} == {key for key in theirs if key != "card.json"}
    assert all(theirs[key] == value for key, value in ours.items() if key != "card.json")


def test_csv_jsonl_and_parquet_give_the_same_shards(tmp_path: Path) -> None:
    frame = table(150)
    result = prepared(tmp_path, frame)
    frame.write_csv(tmp_path / "table.csv")
    frame.write_ndjson(tmp_path / "table.jsonl")
    for name in ("table.csv", "table.jsonl"):
        other = run_stage(tmp_path / f"run-{name}", {"uri": str(tmp_path / name), "target": "label"})
        assert other.manifest.hash == result.manifest.hash, name


def test_nan_null_and_minus_zero_are_one_value(tmp_path: Path) -> None:
    frame = table(60)
    extra = pl.DataFrame(
        {
            "x": [0.0, -0.0, None, float("nan")],
            "y": [None, float("nan"), 1.0, 1.0],
            "city": ["oslo"] * 4,
            "label": ["low"] * 4,
        },
        schema=frame.schema,
    )
    result = prepared(
        tmp_path, pl.concat([frame, extra, extra[1:2].with_columns(y=-0.0)]), prepare_as={"scale": "none"}
    )
    written = np.concatenate([result.features(split)[:, :2] for split in result.manifest.splits])
    assert (written == 0).sum() >= 2
    assert not np.signbit(written[written == 0]).any()
    dropped = next(step for step in result.card.steps if step.step == "drop duplicates")
    assert (dropped.rows_in, dropped.rows_out) == (65, 63)


def test_no_row_of_two_splits_is_equal_after_duplicates_are_dropped(tmp_path: Path) -> None:
    frame = table(200)
    result = prepared(tmp_path, pl.concat([frame, frame[:50], frame[:10]]))
    rows = sum(result.manifest.rows(split) for split in result.manifest.splits)
    assert rows == 200
    assert len(np.unique(np.concatenate([result.features(s) for s in result.manifest.splits]), axis=0)) == 200


def test_duplicates_can_be_kept(tmp_path: Path) -> None:
    frame = table(50)
    result = prepared(tmp_path, pl.concat([frame, frame]), prepare_as={"duplicates": "keep"})
    assert sum(result.manifest.rows(split) for split in result.manifest.splits) == 100


def test_a_row_tested_on_is_not_trained_on(tmp_path: Path) -> None:
    frame = table(60)
    frame[:50].write_parquet(tmp_path / "train.parquet")
    frame[40:].write_parquet(tmp_path / "test.parquet")
    result = run_stage(
        tmp_path / "run",
        {"splits": {s: str(tmp_path / f"{s}.parquet") for s in ("train", "test")}, "target": "label"},
    )
    assert (result.manifest.rows("train"), result.manifest.rows("test")) == (40, 20)


def test_outliers_are_dropped_in_training_only(tmp_path: Path) -> None:
    frame = table(400).with_columns(pl.when(pl.int_range(400) % 10 == 0).then(1e6).otherwise("x").alias("x"))
    result = prepared(tmp_path, frame, prepare_as={"outliers": {"method": "iqr", "action": "drop"}, "scale": "none"})
    assert result.features("train")[:, 0].max() < 100
    assert result.features("test")[:, 0].max() > 100
    assert result.manifest.rows("test") == 80


@pytest.mark.parametrize("method", ["oversample", "undersample"])
def test_balance_makes_classes_equally_frequent_in_training(tmp_path: Path, method: str) -> None:
    frame = table(300).filter((pl.col("label") == "low") | (pl.int_range(pl.len()) % 4 == 0))
    plain = prepared(tmp_path, frame, "plain")
    result = prepared(tmp_path, frame, prepare_as={"balance": method})
    before, after = plain.card.class_counts["train"], result.card.class_counts["train"]
    wanted = max(before.values()) if method == "oversample" else min(before.values())
    assert set(after.values()) == {wanted}
    assert len(set(before.values())) == 2
    assert result.card.class_counts["test"] == plain.card.class_counts["test"]
    assert result.features("test").shape == plain.features("test").shape


def test_key_is_no_input_and_keeps_groups_together(tmp_path: Path) -> None:
    frame = table(300).with_columns(pl.Series("patient", np.arange(300) // 3))
    result = prepared(tmp_path, frame, data={"split": {"key": "patient"}}, prepare_as={"scale": "none"})
    assert "patient" not in [column.name for column in result.plan.inputs]
    splits = {float(np.float32(x)): s for s in result.manifest.splits for x in result.features(s)[:, 0]}
    by_patient = frame.with_columns(
        pl.col("x").map_elements(lambda x: splits[float(np.float32(x))], pl.String).alias("split")
    )
    assert by_patient.group_by("patient").agg(pl.col("split").n_unique())["split"].max() == 1


def test_regression_target_is_standardised(tmp_path: Path) -> None:
    frame = table().with_columns((pl.col("x") * 100 + 7).alias("label"))
    result = prepared(tmp_path, frame)
    target = result.plan.target
    assert target.task == "regression"
    labels = np.array(result.labels("train"))
    assert labels.mean() == pytest.approx(0, abs=1e-6)
    assert labels.std() == pytest.approx(1, abs=1e-6)
    raw = np.array(result.labels("test")) * target.factor + target.offset
    np.testing.assert_allclose(raw, result.frame("raw/test")["x"] * 100 + 7, rtol=1e-5)


def test_runs_once_and_mends_what_was_lost(tmp_path: Path) -> None:
    first = prepared(tmp_path, table())
    again = prepared(tmp_path, table())
    assert again.manifest == first.manifest
    lost = first.manifest.splits["train"][0].key
    first.data.delete([lost])
    prepared(tmp_path, table())
    assert first.data.head(lost) is not None


def test_from_and_to_s3(tmp_path: Path, s3: S3Server) -> None:
    local = prepared(tmp_path, table())
    bucket = s3.bucket()
    store = open_store(bucket)
    store.upload(tmp_path / "table.parquet", "in/table.parquet")
    table().write_csv(tmp_path / "table.csv")
    store.upload(tmp_path / "table.csv", "text/table.csv")
    for place in (f"{bucket}/in/*.parquet", f"{bucket}/text/table.csv"):
        remote = run_stage(f"{bucket}/run-{place[-3:]}", {"uri": place, "target": "label"})
        assert remote.contents()["preparation.json"] == local.contents()["preparation.json"]
        assert remote.manifest == local.manifest


def test_columns_that_tell_nothing_are_left_out_and_said(tmp_path: Path) -> None:
    frame = table(200).with_columns(
        pl.format("name {}", pl.int_range(200)).alias("name"),
        pl.lit(3.0).alias("same"),
        pl.datetime(2024, 1, 1, time_zone="UTC").alias("start") + pl.duration(hours=pl.int_range(200)),
    )
    result = prepared(tmp_path, frame)
    assert [column.name for column in result.plan.inputs] == ["x", "y", "city", "start"]
    assert result.frame("raw/test")["start"].min() >= 1704067200  # seconds since 1970
    reasons = [step.why for step in result.card.steps if step.step == "leave out column"]
    assert len(reasons) == 2
    assert any("name: " in why and "ids" in why for why in reasons)
    assert "same: every value is the same" in reasons


def test_card_counts_add_up(tmp_path: Path) -> None:
    frame = pl.concat([table(300), table(300)[:20]]).with_columns(
        pl.when(pl.int_range(320) % 50 == 7).then(None).otherwise("label").alias("label")
    )
    card = prepared(tmp_path, frame, prepare_as={"missing": {"numeric": "drop"}}).card
    before = card.rows
    assert before == 320
    for step in card.steps:
        if step.split == "all" and step.step != "leave out column":
            assert step.rows_in == before
            before = step.rows_out
    assert sum(card.splits.values()) == before < 300
    assert {split: sum(counts.values()) for split, counts in card.class_counts.items()} == card.splits


def test_a_column_complete_in_training_may_be_missing_elsewhere(tmp_path: Path) -> None:
    frame = table(100).drop("y")
    frame[:80].write_parquet(tmp_path / "train.parquet")
    frame[80:].with_columns(pl.lit(None, pl.Float64).alias("x")).write_parquet(tmp_path / "test.parquet")
    splits = {split: str(tmp_path / f"{split}.parquet") for split in ("train", "test")}
    result = run_stage(tmp_path / "run", {"splits": splits, "target": "label"})
    assert np.isfinite(result.features("test")).all()
    assert result.plan.inputs[0].nullable


def test_many_buckets_and_runs_give_the_same_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = prepared(tmp_path, table(2000), "one")
    monkeypatch.setattr("trainyard_trainer.prepare.spill._FLUSH_BYTES", 4000)
    monkeypatch.setattr("trainyard_trainer.prepare.work.Work.expected_bytes", 6 * 96 * 1024 * 1024)
    many = prepared(tmp_path, table(2000), "many", prepare_as={})
    assert many.manifest == one.manifest


def test_card_counts_what_was_filled_and_clipped(tmp_path: Path) -> None:
    result = prepared(tmp_path, table(), prepare_as={"outliers": {"method": "iqr"}})
    cards = {card.name: card for card in result.card.columns}
    clip = next(step for step in result.plan.steps if step.op == "clip" and step.column == "y")
    assert (cards["x"].filled, cards["city"].filled, cards["city"].clipped) == (None, None, None)
    assert cards["y"].filled == cards["y"].missing > 0
    factor = next(step for step in result.plan.steps if step.op == "scale" and step.column == "y")
    assert clip.high is not None
    top = (clip.high - float(factor.offset)) / float(factor.factor)  # type: ignore[arg-type]
    assert cards["y"].clipped == np.isclose(result.features("train")[:, 1], top).sum() > 0


def test_an_attempt_that_was_overtaken_commits_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINYARD_ATTEMPT", "1")
    run = open_store(str(tmp_path / "run"))
    run.put_json("attempts/00002", {})
    with pytest.raises(TrainyardError, match="taken over"):
        prepared(tmp_path, table())
    assert run.head(MARKER) is None
