"""Features, labels and the raw test rows, written as shards."""

from pathlib import Path

import numpy as np
import polars as pl

from trainyard_api.documents import FieldSpec, Plan, Shard
from trainyard_trainer.prepare.features import transform
from trainyard_trainer.prepare.rows import Rows
from trainyard_trainer.prepare.shards import split_writers
from trainyard_trainer.prepare.split import NAMES, TEST
from trainyard_trainer.prepare.target import labels
from trainyard_trainer.prepare.tensors import as_bytes

RAW_TEST = "raw/test"


Shards = dict[str, list[Shard]]


def write_shards(rows: Rows, plan: Plan, output: Path) -> tuple[dict[str, FieldSpec], Shards, Shards]:
    """Write `<split>/part-*.parquet` and, row by row beside test's, `raw/test/part-*.parquet` under `output`.

    Returns the fields, the shards by split, and those of raw rows. A tensor's raw values are its features: they aren't
    written twice.
    """
    fields = _fields(plan)
    row_bytes = sum(int(np.prod(f.shape, dtype=np.int64)) * np.dtype(f.dtype).itemsize for f in fields.values())
    raw_names = [column.name for column in plan.inputs]
    with split_writers(output, rows.counts(), row_bytes) as writers:
        raw = writers[TEST].beside(RAW_TEST)
        for frame, assigned in rows.pieces([*raw_names, plan.target.name]):
            for split, writer in enumerate(writers):
                part = frame.filter(pl.Series(assigned == split))
                if part.is_empty():
                    continue
                writer.add(pl.DataFrame([_features(part, plan), labels(part[plan.target.name], plan.target)]))
                if split == TEST and plan.features:
                    raw.add(part[raw_names])
        kept = raw.finish()
        splits = {name: writer.finish() for name, writer in zip(NAMES, writers, strict=True)}
        return fields, splits, {NAMES[TEST]: kept} if kept else {}


def _features(frame: pl.DataFrame, plan: Plan) -> pl.Series:
    first = plan.inputs[0]
    if first.kind == "tensor":
        return as_bytes(frame[first.name], first.dtype).alias("features")
    matrix = transform(frame, plan)
    return pl.Series("features", matrix, dtype=pl.Array(pl.Float32, matrix.shape[1]))


def _fields(plan: Plan) -> dict[str, FieldSpec]:
    first = plan.inputs[0]
    tensor = first.kind == "tensor"
    return {
        "features": FieldSpec(dtype=first.dtype, shape=first.shape)
        if tensor
        else FieldSpec(dtype="float32", shape=[len(plan.features)]),
        "label": FieldSpec(dtype="float32" if plan.target.task == "regression" else "int64"),
    }
