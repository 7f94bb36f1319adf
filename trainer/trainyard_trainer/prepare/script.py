"""Script mode: the same order, splits and shards, and every column as it is, for a program of the user's own."""

import numpy as np
import polars as pl

from trainyard_api.documents import ColumnCard, DataCard, FieldSpec
from trainyard_api.errors import TrainyardError
from trainyard_api.recipe import Missing
from trainyard_trainer.prepare.card import Card
from trainyard_trainer.prepare.columns import (
    TEMPORAL,
    Columns,
    as_number,
    check_array,
    check_known,
    is_text,
    tensor_element,
)
from trainyard_trainer.prepare.divide import divide, split_reason
from trainyard_trainer.prepare.ingest import Ingested, ingest
from trainyard_trainer.prepare.order import sort_rows
from trainyard_trainer.prepare.rows import Rows
from trainyard_trainer.prepare.shards import split_writers
from trainyard_trainer.prepare.split import NAMES, TRAIN
from trainyard_trainer.prepare.target import Codes, class_codes, find_task
from trainyard_trainer.prepare.tensors import as_bytes
from trainyard_trainer.prepare.work import Prepared, Work
from trainyard_trainer.sources.named import named, unnamed
from trainyard_trainer.sources.raw import RawTars

_TEXT_BYTES = 32  # taken for one text when shards are cut


def prepare_script(work: Work) -> Prepared:
    """Write every column of every row into shards by split. No row is dropped but those that can't be read."""
    columns, types = _as_fields(work)
    work.say(f"reading {len(work.listing.files)} files, {work.listing.bytes / 1e6:.1f} MB")
    seed, folder = work.data.split.seed, work.scratch / "rows"
    ingested = ingest(work.source, columns, Missing(), seed, folder, work.expected_bytes, work.bad)
    work.check_read(ingested.rows)
    rows, classes, codes = _divide(work, ingested)
    known = work.source.fields if isinstance(work.source, RawTars) else {}
    fields = {name: known.get(name) or _field(types[name], ingested.present[name] < ingested.rows) for name in types}
    work.say("writing shards")
    row_bytes = max(sum(_bytes(field) for field in fields.values()), work.listing.bytes // ingested.rows)
    with split_writers(work.output, rows.counts(), row_bytes) as writers:
        for frame, assigned in rows.pieces(list(types)):
            filled = pl.DataFrame({name: _filled(frame[name], field, work.where) for name, field in fields.items()})
            for split, writer in enumerate(writers):
                writer.add(filled.filter(pl.Series(assigned == split)))
        splits = {name: writer.finish() for name, writer in zip(NAMES, writers, strict=True)}
    return Prepared(fields, splits, _card(work, ingested, types, rows, classes, codes))


def _as_fields(work: Work) -> tuple[Columns, pl.Schema]:
    """All columns, and the types in which they're kept: times as seconds, NaN as missing, all else as it is."""
    schema, key = work.source.schema, work.data.split.key
    for field, name in (("data.split.key", key), ("data.target", work.data.target)):
        if name:
            check_known(name, schema, field, work.where)
    expressions = [_as_is(name, dtype) for name, dtype in schema.items()]
    for name, dtype in schema.items():
        if dtype.is_nested():
            check_array(name, dtype, work.where)
    names = list(schema)
    columns = Columns([], [], None, "", key, names, sorted(names), expressions)
    return columns, pl.DataFrame(schema=schema).select(expressions).schema


def _as_is(name: str, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, TEMPORAL) or dtype == pl.Null or dtype.is_decimal():
        return as_number(named(name), dtype).alias(name)
    if dtype.is_float():
        return named(name).fill_nan(None)
    return named(name).cast(pl.String) if is_text(dtype) else named(name)


def _divide(work: Work, ingested: Ingested) -> tuple[Rows, list[str], Codes | None]:
    data = work.data
    rows, groups, _ = sort_rows(ingested.buckets, drop_duplicates=False, grouped=data.split.key is not None)
    classes: list[str] = []
    codes: Codes | None = None
    if data.split.stratify and data.target:
        _, classes = find_task(rows, data.target, data, work.where)
        codes = class_codes(rows, data.target, classes, work.where) if classes else None
    rows.split = divide(rows.split, data, codes, groups, work.where)
    work.check_size(rows.counts()[TRAIN])
    return rows, classes, codes


def _field(dtype: pl.DataType, has_missing: bool) -> FieldSpec:
    if is_text(dtype):
        return FieldSpec(dtype="str")
    if dtype == pl.Binary:
        return FieldSpec(dtype="bytes")
    shape = list(dtype.shape) if isinstance(dtype, pl.Array) else []
    if has_missing and not tensor_element(dtype).is_float():
        return FieldSpec(dtype="float64", shape=shape)
    return FieldSpec(dtype=str(pl.Series(dtype=tensor_element(dtype)).to_numpy().dtype), shape=shape)


def _filled(column: pl.Series, field: FieldSpec, where: str) -> pl.Series:
    """A missing value is NaN, an empty text or no bytes; an array is its bytes."""
    if column.dtype == pl.Binary:
        return unnamed(column).fill_null(pl.lit(b""))
    if field.shape:
        try:
            return as_bytes(column, field.dtype)
        except ValueError as error:
            raise TrainyardError(
                f"Column {error}.", where, "Fill them in, or give the numbers as floats.", cause="UnusableColumn"
            ) from error
    column = unnamed(column)
    if field.dtype == "str":
        return column.fill_null(pl.lit(""))
    if not field.dtype.startswith("float"):
        return column
    number = column if column.dtype.is_float() else column.cast(pl.Float64)
    return number.fill_null(float("nan"))


def _bytes(field: FieldSpec) -> int:
    if field.dtype in ("str", "bytes", "json"):
        return _TEXT_BYTES
    return int(np.prod(field.shape, dtype=np.int64)) * np.dtype(field.dtype).itemsize


def _card(
    work: Work, ingested: Ingested, types: pl.Schema, rows: Rows, classes: list[str], codes: Codes | None
) -> DataCard:
    card = Card()
    total = ingested.rows + work.bad.count
    card.step("read", "all", total, ingested.rows, f"{work.bad.count} can't be read")
    for name, count in zip(NAMES, rows.counts(), strict=True):
        card.step("split", name, len(rows), count, split_reason(work.data))
    missing = {name: ingested.rows - present for name, present in ingested.present.items()}
    card.columns = [ColumnCard(name=n, kind=str(dtype), missing=missing[n]) for n, dtype in types.items()]
    return card.finish(work.where, work.listing, total, work.bad, rows.split, classes, codes)
