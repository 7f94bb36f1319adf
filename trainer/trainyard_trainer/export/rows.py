"""Rows of a prepared split beside the raw rows they were made of."""

import io
from collections.abc import Iterator

import numpy as np
import polars as pl

from trainyard_api.documents import DatasetManifest, Plan, Shard, Step
from trainyard_storage import Store
from trainyard_trainer.export.columns import Array, arrays_of, known_categories

BATCH = 512
Inputs = dict[str, Array]


def compared_split(manifest: DatasetManifest) -> str:
    """The split on which a model is judged: test, else validation, else train."""
    return next((split for split in ("test", "validation") if manifest.rows(split)), "train")


def paired_rows(
    data: Store, manifest: DatasetManifest, plan: Plan, split: str
) -> Iterator[tuple[Inputs, Array, Array]]:
    """Batches of (raw columns, features, labels) of `split`, row by row the same samples, in their order.

    Raw scalars are kept for the test split. Else they're made from the features, backwards through the plan
    (a missing value has become what it was filled with, an unknown category stays unknown).
    """
    shards = manifest.splits[split]
    prepared = _batches(_read(data, shard) for shard in shards)
    kept = manifest.raw.get(split, [])
    if not kept:
        for frame in prepared:
            features = _features(frame, manifest)
            yield _restored(features, plan), features, frame["label"].to_numpy()
        return
    raw = _batches(_read(data, shard) for shard in kept)
    for before, after in zip(raw, prepared, strict=True):
        yield arrays_of(before, plan), _features(after, manifest), after["label"].to_numpy()


def _read(data: Store, shard: Shard) -> pl.DataFrame:
    return pl.read_parquet(io.BytesIO(data.get(shard.key, xxh3=shard.xxh3)))


def _batches(frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The same rows in frames of BATCH, so that two listings with other shard sizes go in step."""
    held: pl.DataFrame | None = None
    for frame in frames:
        held = frame if held is None else pl.concat([held, frame])
        whole = held.height // BATCH * BATCH
        yield from (held[start : start + BATCH] for start in range(0, whole, BATCH))
        held = held[whole:]
    if held is not None and held.height:
        yield held


def _features(frame: pl.DataFrame, manifest: DatasetManifest) -> Array:
    spec = manifest.fields["features"]
    column = frame["features"]
    if column.dtype == pl.Binary:
        return np.frombuffer(b"".join(column.to_list()), spec.dtype).reshape(frame.height, *spec.shape)
    return column.to_numpy().reshape(frame.height, *spec.shape).astype(spec.dtype, copy=False)


def _restored(features: Array, plan: Plan) -> Inputs:
    if plan.inputs[0].kind == "tensor":
        return {plan.inputs[0].name: features}
    found: Inputs = {}
    start = 0
    for one in plan.inputs:
        if one.kind == "numeric":
            scale = next((step for step in plan.steps if step.op == "scale" and step.column == one.name), None)
            found[one.name] = _unscaled(features[:, start].astype(np.float64), scale)
            start += 1
            continue
        names = np.array([*known_categories(plan, one.name), "unknown to the model"], dtype=object)
        onehot = any(step.op == "onehot" and step.column == one.name for step in plan.steps)
        width = len(names) if onehot else 1
        block = features[:, start : start + width]
        codes = block.argmax(axis=1) if onehot else (block[:, 0] * max(1, len(names) - 1)).round().astype(int)
        found[one.name] = names[codes]
        start += width
    return found


def _unscaled(values: Array, scale: Step | None) -> Array:
    if scale is None or not isinstance(scale.offset, float) or not isinstance(scale.factor, float):
        return values
    return values * scale.factor + scale.offset
