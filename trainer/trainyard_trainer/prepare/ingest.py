"""From the source to sorted rows: canonical values, a hash key per row, duplicates and missing targets dropped."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from trainyard_api.recipe import Missing
from trainyard_trainer.prepare.columns import Columns
from trainyard_trainer.prepare.spill import GIVEN, KEY, KEY2, MISSING, Bucket, Spill
from trainyard_trainer.prepare.split import NAMES, TRAIN
from trainyard_trainer.sources import BadSamples, Source
from trainyard_trainer.sources.named import named, unnamed

NO_TARGET, NO_VALUE = 1, 2  # flags in MISSING
GROUP = "__trainyard_group"
_SECOND = 0x9E3779B97F4A7C15  # turns a seed into another far from it (SplitMix64's increment)


@dataclass
class Ingested:
    """Rows on local disk, unsorted, and what was seen on the way."""

    buckets: list[Bucket]
    rows: int
    present: dict[str, int] = field(default_factory=dict)  # values that aren't missing, by column


def ingest(
    source: Source, columns: Columns, missing: Missing, seed: int, folder: Path, expected_bytes: int, bad: BadSamples
) -> Ingested:
    """Read `source` once, in pieces, into buckets under `folder`."""
    spill = Spill(folder, expected_bytes)
    present = dict.fromkeys(columns.kept, 0)
    rows = 0
    dropping = [
        *(columns.numeric if missing.numeric == "drop" else []),
        *(columns.categorical if missing.categorical == "drop" else []),
    ]
    for split, frame in source.frames(columns.expressions):
        whole = _whole_tensors(frame, columns.tensor, bad) if columns.tensor else frame
        rows += whole.height
        for name in present:
            present[name] += whole.height - whole[name].null_count()
        flags = [pl.lit(0, pl.UInt8)]
        if columns.target:
            flags.append(named(columns.target).is_null().cast(pl.UInt8) * NO_TARGET)
        if dropping:
            flags.append(pl.any_horizontal(named(*dropping).is_null()).cast(pl.UInt8) * NO_VALUE)
        spill.add(
            whole.select(
                named(*columns.kept),
                pl.sum_horizontal(flags).cast(pl.UInt8).alias(MISSING),
                pl.lit(NAMES.index(split) if split else TRAIN, pl.UInt8).alias(GIVEN),
                *row_keys(whole.select(named(*columns.compared)), seed),
                *([group_hash(whole[columns.key], seed)] if columns.key else []),
            )
        )
    return Ingested(spill.finish(), rows, present)


def row_keys(frame: pl.DataFrame, seed: int) -> list[pl.Series]:
    """Two hashes of 64 bits of every row's content, under `seed`. Equal rows have equal keys; together they tell
    rows apart (two of a billion rows agree by chance with a probability of 1e-21)."""
    return [
        frame.hash_rows(seed).alias(KEY),
        frame.hash_rows(seed ^ _SECOND).alias(KEY2),
    ]


def group_hash(key: pl.Series, seed: int) -> pl.Series:
    """A hash of one column under `seed`; all rows without a value have the same."""
    return pl.DataFrame([key]).hash_rows(seed).alias(GROUP)


def _whole_tensors(frame: pl.DataFrame, tensor: str, bad: BadSamples) -> pl.DataFrame:
    """Leave out rows whose array is missing, or holds a missing, NaN or infinite value."""
    arrays = unnamed(frame[tensor])
    good = arrays.is_not_null()
    values = arrays.filter(good).to_numpy()  # nulls within arrays arrive as NaN
    if values.dtype.kind == "f" and not (finite := np.isfinite(values).reshape(len(values), -1).all(axis=1)).all():
        good = good.scatter(good.arg_true(), finite)
    if not good.all():
        bad.add(f"column {tensor}", "missing, NaN or infinite values in an array", count=int((~good).sum()))
    return frame.filter(good)
