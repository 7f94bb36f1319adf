"""The target column: which task it makes, which classes it has, and labels as numbers."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainyard_api.documents import Target, Task
from trainyard_api.errors import TrainyardError
from trainyard_api.recipe import Data
from trainyard_trainer.prepare.features import category_codes
from trainyard_trainer.prepare.fit import rounded
from trainyard_trainer.prepare.rows import Rows
from trainyard_trainer.prepare.split import NAMES, TRAIN
from trainyard_trainer.prepare.task import decide_task
from trainyard_trainer.sources.named import unnamed

MAX_CLASSES = 10_000

Codes = NDArray[np.int32]


def as_names(values: pl.Series) -> pl.Series:
    """Classes as text: 3 and 3.0 are both `3`."""
    values = unnamed(values)
    if not values.dtype.is_float():
        return values.cast(pl.String)
    whole = values.round() == values
    return values.cast(pl.Int64, strict=False).cast(pl.String).zip_with(whole, values.cast(pl.String))


def find_task(rows: Rows, name: str, data: Data, where: str) -> tuple[Task, list[str]]:
    """The task, and the names of the classes (of the training split where splits are given), sorted."""
    seen = [
        unnamed(frame[name])
        .filter(pl.Series(split == TRAIN) if data.splits else pl.repeat(True, len(split), eager=True))
        .unique()
        for frame, split in rows.pieces([name])
    ]
    values = pl.concat(seen).unique()
    task: Task = decide_task(values) if data.task == "auto" else data.task
    if task == "regression":
        return task, []
    if len(values) > MAX_CLASSES:
        raise TrainyardError(
            f"The target {name} has {len(values)} different values: too many for classes.",
            where,
            "Set data.task to regression, or name another data.target.",
            cause="BadTarget",
        )
    classes = sorted(as_names(values).to_list())
    if all(_is_whole(text) for text in classes):
        classes.sort(key=int)
    _check_classes(task, classes, name, where)
    return task, classes


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _check_classes(task: Task, classes: list[str], name: str, where: str) -> None:
    if len(classes) < 2:
        raise TrainyardError(
            f"The target {name} has one class only: {classes[0] if classes else 'none'}.",
            where,
            "There is nothing to learn from it: add samples of another class, or name another data.target.",
            cause="OneClass",
        )
    if task == "binary" and len(classes) > 2:
        raise TrainyardError(
            f"The target {name} has {len(classes)} classes, and data.task is binary.",
            where,
            "Set data.task to multiclass, or to auto.",
            cause="BadTarget",
        )


def class_codes(rows: Rows, name: str, classes: list[str], where: str) -> Codes:
    """Index of every row's class, in the rows' order. Raises TrainyardError for a class the training split lacks."""
    codes = np.concatenate([category_codes(as_names(frame[name]), classes) for frame, _ in rows.pieces([name])])
    unknown = np.flatnonzero(codes == len(classes))
    if len(unknown):
        split = NAMES[rows.split[unknown[0]]]
        every = pl.concat([as_names(frame[name]) for frame, _ in rows.pieces([name])])
        raise TrainyardError(
            f"The {split} split has the class {every[int(unknown[0])]}, which the training split lacks.",
            where,
            "Add samples of this class to the training split, or take them out of the others.",
            cause="UnknownClass",
        )
    return codes.astype(np.int32)


def as_numbers(values: pl.Series, where: str) -> NDArray[np.float64]:
    """A regression's target. Raises TrainyardError if it isn't numeric."""
    if values.dtype.is_numeric():
        return values.cast(pl.Float64).to_numpy()
    numbers = unnamed(values).cast(pl.Float64, strict=False)
    if numbers.null_count():
        text = unnamed(values).filter(numbers.is_null())[0]
        raise TrainyardError(
            f"The target {values.name} isn't a number everywhere: {text!r}.",
            where,
            "A regression predicts numbers: set data.task to multiclass, or name another data.target.",
            cause="BadTarget",
        )
    return numbers.to_numpy()


def regression_target(rows: Rows, name: str, where: str) -> Target:
    """The target standardised by mean and deviation of the training split."""
    values = as_numbers(rows.column(name, TRAIN), where)
    if not values.std() > 0:
        raise TrainyardError(
            f"The target {name} is {values[0]:g} in every training row.",
            where,
            "There is nothing to learn from it: name another data.target.",
            cause="OneClass",
        )
    return Target(name=name, task="regression", offset=rounded(values.mean()), factor=rounded(values.std()) or 1.0)


def labels(values: pl.Series, target: Target, where: str = "") -> pl.Series:
    """Labels as shards hold them: int64 class index, or float32 (y - offset) / factor."""
    if target.task == "regression":
        scaled = (as_numbers(values, where) - target.offset) / target.factor
        return pl.Series("label", scaled.astype(np.float32))
    return pl.Series("label", category_codes(as_names(values), target.classes).astype(np.int64))
