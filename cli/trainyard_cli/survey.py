"""What a data set looks like, from its first rows: enough to write a manifest for it."""

import re
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from trainyard_api.documents import Task
from trainyard_api.errors import TrainyardError
from trainyard_api.job import Storage
from trainyard_api.problems import nearest
from trainyard_api.recipe import Data, ImageShape
from trainyard_storage.source import Format, SourceListing, list_source
from trainyard_trainer.prepare.task import decide_task
from trainyard_trainer.sources.bad import BadSamples
from trainyard_trainer.sources.open import Source, open_source

SAMPLE = 20_000
"""Rows that are looked at."""

FREE_TEXT = 0.5
"""A text column in which more than this share of values differ names things rather than sorts them."""


ROW_NUMBER = re.compile(r"(^|[_ .-])(id|uuid|guid|index|row)$|^Unnamed|(?<=[a-z])I[Dd]$", re.IGNORECASE)
"""Names of columns that number the rows."""


@dataclass(frozen=True)
class Survey:
    """A data set as far as a manifest needs to know it."""

    format: Format
    rows: int  # those looked at
    more: bool  # whether there are more
    task: Task
    target: str | None  # None for image folders
    classes: dict[str, int]  # rows of each class; empty for a regression
    inputs: dict[str, str]  # name and type of each column to learn from
    drop: dict[str, str]  # columns better left out, each with the reason
    missing: dict[str, int]  # inputs with missing values, and how many
    shape: tuple[int, ...] | None  # of the input if it's an image or another array


def survey(uri: str, target: str | None) -> Survey:
    """Look at the data at `uri` (a URI, or an absolute path).

    :raises TrainyardError: nothing there, not readable, or no such target; the message names what there is.
    """
    data = Data(uri=uri, target=target)
    listing = list_source(data, Storage())
    with tempfile.TemporaryDirectory(prefix="trainyard-") as scratch:
        source = open_source(listing, data, Storage(), ImageShape(), Path(scratch), BadSamples())
        column = _target(source.schema, target, listing.format, uri)
        return _images(listing, source, uri) if listing.format == "images" else _table(listing, source, column, uri)


def _images(listing: SourceListing, source: Source, uri: str) -> Survey:
    """Told by the files' names; no more than one image is opened."""
    classes = Counter(file.key.split("/")[0] for file in listing.files)
    _check_target(pl.Series("class", list(classes)), uri)
    task: Task = "binary" if len(classes) == 2 else "multiclass"
    image = next(iter(source.schema))
    shape = _shape(source.schema[image])
    return Survey("images", len(listing.files), False, task, None, dict(classes), {image: "image"}, {}, {}, shape)


def _table(listing: SourceListing, source: Source, target: str, uri: str) -> Survey:
    frame, more = _head((frame for _, frame in source.frames([pl.all()])), uri)
    values = _without_missing(frame[target])
    _check_target(values, uri)
    task = decide_task(values)
    classes = {} if task == "regression" else {str(row[0]): row[1] for row in values.value_counts().iter_rows()}
    others = [name for name in frame.columns if name != target]
    drop = {name: why for name in others if (why := _why_drop(frame[name]))}
    inputs = [name for name in others if name not in drop]
    arrays = [name for name in inputs if isinstance(frame.schema[name], pl.Array)]
    for name in inputs if arrays else []:
        if name != arrays[0]:
            drop[name] = f"{arrays[0]} holds arrays: they go in alone"
    inputs = [name for name in inputs if name not in drop]
    if not inputs:
        raise TrainyardError(
            f"there is no column to learn {target} from",
            uri,
            "; ".join(f"{name}: {why}" for name, why in drop.items()) or "give data with more columns",
        )
    return Survey(
        listing.format,
        frame.height,
        more,
        task,
        target,
        classes,
        {name: str(frame.schema[name]) for name in inputs},
        drop,
        {name: gone for name in inputs if (gone := frame.height - len(_without_missing(frame[name])))},
        _shape(frame.schema[arrays[0]]) if arrays else None,
    )


def _why_drop(column: pl.Series) -> str | None:
    """Why a column is no input, if it isn't one."""
    if column.dtype.is_nested() and not isinstance(column.dtype, pl.Array):
        return f"values of type {column.dtype} can't be learnt from"
    if column.dtype in (pl.Binary, pl.Object):
        return "bytes can't be learnt from"
    values = _without_missing(column)
    if not len(values):
        return "it is empty"
    if column.dtype == pl.String and values.n_unique() > max(20, FREE_TEXT * len(values)):
        return "hardly a value occurs twice: it names rows, or is free text"
    if column.dtype.is_integer() and _numbers_rows(values):
        return "it numbers the rows"
    return None


def _numbers_rows(values: pl.Series) -> bool:
    """Whether whole numbers are the names of rows: by the column's name, or as they run through without a gap."""
    distinct = values.n_unique()
    span = int(values.max()) - int(values.min()) + 1  # type: ignore[arg-type]
    by_name = ROW_NUMBER.search(values.name) is not None and distinct > 0.5 * len(values)
    return by_name or (distinct > max(50, 0.9 * len(values)) and span < 1.1 * distinct)


def _without_missing(column: pl.Series) -> pl.Series:
    column = column.drop_nulls()
    return column.drop_nans() if column.dtype.is_float() else column


def _shape(dtype: pl.DataType) -> tuple[int, ...]:
    return dtype.shape if isinstance(dtype, pl.Array) else ()


def _check_target(values: pl.Series, uri: str) -> None:
    if values.n_unique() < 2:
        what = f"is {values[0]} in every row" if len(values) else "has no values"
        remedy = "there is nothing to learn: name another --target, or add data"
        raise TrainyardError(f"the target {values.name!r} {what}", uri, remedy, cause="OneClass")


def _target(schema: pl.Schema, target: str | None, format: Format, uri: str) -> str:
    if format == "images":
        if target:
            what = "an image folder has no columns: the class of an image is the name of its folder"
            raise TrainyardError(what, uri, "leave --target out")
        return "class"
    if format == "webdataset":
        return target or "cls"
    columns = f"the columns are {', '.join(schema)}"
    if target is None:
        raise TrainyardError("it isn't said which column to predict", uri, f"add --target COLUMN; {columns}")
    if target not in schema:
        guess = nearest(target, schema)
        meant = f"did you mean {guess}? " if guess else ""
        raise TrainyardError(f"there is no column {target!r}", uri, f"{meant}{columns}", cause="NoSuchColumn")
    return target


def _head(frames: Iterable[pl.DataFrame], uri: str) -> tuple[pl.DataFrame, bool]:
    """The first SAMPLE rows or a few more, and whether rows are left."""
    taken: list[pl.DataFrame] = []
    rows = 0
    for frame in frames:
        if rows >= SAMPLE:
            return pl.concat(taken), True
        taken.append(frame)
        rows += frame.height
    if not rows:
        raise TrainyardError("the data has no rows", uri, "give data with some rows", cause="EmptyData")
    return pl.concat(taken), False
