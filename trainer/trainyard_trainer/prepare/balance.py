"""Class-balanced training: rows of rare classes repeated, or rows of frequent classes left out."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainyard_trainer.prepare.order import sort_rows
from trainyard_trainer.prepare.rows import Rows
from trainyard_trainer.prepare.spill import GIVEN, KEY, KEY2, MISSING, Spill
from trainyard_trainer.prepare.split import DROPPED, TRAIN, Assignment


def undersampled(split: Assignment, codes: NDArray[np.int32]) -> Assignment:
    """Every class keeps as many training rows as the rarest has: the first ones of the random order."""
    repeats = _repeats(split, codes, oversample=False)
    return np.where(repeats == 0, np.uint8(DROPPED), split)


def oversample(rows: Rows, codes: NDArray[np.int32], columns: list[str], folder: Path, expected: int) -> Rows:
    """Rows in which every class has as many training rows as the most frequent one.

    The copies of a row get keys of their own, so that they lie apart.
    """
    repeats = _repeats(rows.split, codes, oversample=True)
    spill = Spill(folder, expected)
    start = 0
    for frame, split in rows.pieces([*columns, KEY, MISSING]):
        index = np.repeat(np.arange(frame.height), repeats[start : start + frame.height])
        copy = np.arange(len(index)) - np.searchsorted(index, index)
        start += frame.height
        copied = frame[index].with_columns(pl.Series(KEY2, copy.astype(np.uint64)), pl.Series(GIVEN, split[index]))
        keys = copied.select(KEY, KEY2).hash_rows(0)
        spill.add(copied.with_columns(pl.when(pl.col(KEY2) == 0).then(KEY).otherwise(keys).alias(KEY)))
    balanced, _, _ = sort_rows(spill.finish(), drop_duplicates=False, grouped=False)
    return balanced


def _repeats(split: Assignment, codes: NDArray[np.int32], *, oversample: bool) -> NDArray[np.int64]:
    """How often each row is taken. Rows that aren't trained on: once."""
    repeats = np.ones(len(split), np.int64)
    repeats[split == DROPPED] = 0
    train = split == TRAIN
    counts = np.bincount(codes[train])
    present = counts[counts > 0]
    wanted = int(present.max() if oversample else present.min())
    for code in np.flatnonzero(counts):
        members = np.flatnonzero(train & (codes == code))
        each, more = divmod(wanted, len(members))
        repeats[members] = each
        repeats[members[:more]] += 1
    return repeats
