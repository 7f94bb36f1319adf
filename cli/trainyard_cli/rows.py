"""Rows that people give to a model, read from a file or standard input, and checked column by column."""

import io
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainyard_api.documents import InputSignature, Signature
from trainyard_api.errors import TrainyardError
from trainyard_api.recipe import Data
from trainyard_trainer.sources.decode import IMAGE_ENDINGS, ArraySpec, BadSample, decode

Columns = dict[str, list[Any]]
Arrays = dict[str, NDArray[Any]]

DTYPES = {"FP64": "float64", "FP32": "float32", "INT64": "int64", "UINT8": "uint8"}
MISSING = frozenset(Data.model_fields["missing_values"].default)  # in CSV, where everything is text


def read_rows(source: str, stdin: BinaryIO, signature: Signature) -> Columns:
    """Columns of a CSV, JSON Lines, JSON, Parquet or image file; of standard input (JSON or CSV) for `-`.

    :raises TrainyardError: the file is missing, empty, of another format, or can't be read
    """
    if source == "-":
        return _text(stdin.read(), "standard input")
    path = Path(source)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(source, error.strerror or str(error)) from error
    ending = path.suffix.lower().lstrip(".")
    if ending in IMAGE_ENDINGS:
        return _image(data, ending, source, signature)
    if ending == "parquet":
        try:
            return _filled(pl.read_parquet(io.BytesIO(data)).to_dict(as_series=False), source)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _unreadable(source, f"no valid Parquet: {error}") from error
    if ending == "csv":
        return _csv(data, source)
    return _text(data, source)


def arrays_for(columns: Columns, signature: Signature) -> Arrays:
    """`columns` as the model takes them.

    :raises TrainyardError: a column is missing, or holds a value that it can't; named with its row
    """
    wanted = {one.name: one for one in signature.inputs}
    missing = [name for name in wanted if name not in columns]
    if missing:
        said = [f"column {name} is missing" for name in missing]
        said += [f"column {name} is not an input" for name in not_inputs(columns, signature)]
        raise TrainyardError(
            f"The columns don't fit the model: {'; '.join(said[:10])}{'; ...' if len(said) > 10 else ''}.",
            remedy=f"Give {', '.join(wanted)}.",
            cause="InputInvalid",
        )
    return {name: _array(columns[name], one) for name, one in wanted.items()}


def not_inputs(columns: Columns, signature: Signature) -> list[str]:
    """Names of columns that the model doesn't ask for, like the target or those dropped before training."""
    return sorted(columns.keys() - {one.name for one in signature.inputs})


def _array(values: Sequence[Any], spec: InputSignature) -> NDArray[Any]:
    if spec.datatype == "BYTES":
        texts = [_category(value, row, spec) for row, value in enumerate(values, start=1)]
        return np.array(texts, dtype=object)
    if spec.shape == [-1] and spec.datatype == "FP64":
        numbers = [_number(value, row, spec) for row, value in enumerate(values, start=1)]
        return np.array(numbers)
    return np.stack([_tensor(value, row, spec) for row, value in enumerate(values, start=1)])


def _category(value: Any, row: int, spec: InputSignature) -> str:
    """A category's name as preparation writes it: 2 and 2.0 are both `2`."""
    if value is None or value == "" or value != value:
        _check_nullable(row, spec)
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise _unfit(spec, row, value, "text")


def _number(value: Any, row: int, spec: InputSignature) -> float:
    if isinstance(value, date):
        moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    if value is None or value == "":
        value = float("nan")
    if isinstance(value, str) and value.lower() in ("true", "false"):  # what a truth value is in CSV
        value = value.lower() == "true"
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise _unfit(spec, row, value, "a number") from error
    if number != number:
        _check_nullable(row, spec)
    if abs(number) == float("inf"):
        raise _unfit(spec, row, value, "a finite number")
    return number


def _tensor(value: Any, row: int, spec: InputSignature) -> NDArray[Any]:
    try:
        given = json.loads(value) if isinstance(value, str) else value
        array = np.asarray(given)
        with np.errstate(over="ignore", invalid="ignore"):  # what doesn't fit the type is told below
            whole = array.astype(DTYPES[spec.datatype])
    except (TypeError, ValueError, OverflowError) as error:
        wanted = f"an array of numbers of shape {spec.shape[1:]}" if spec.shape[1:] else "a number"
        raise _unfit(spec, row, value, wanted) from error
    if list(array.shape) != spec.shape[1:]:
        raise _unfit(spec, row, value, f"of shape {spec.shape[1:]}, but of shape {list(array.shape)}")
    if whole.dtype.kind == "f" and not np.isfinite(whole).all():
        raise _unfit(spec, row, value, f"{spec.datatype}, which is finite")
    if whole.dtype.kind != "f" and not np.array_equal(whole, array):
        raise _unfit(spec, row, value, f"{spec.datatype} without rounding")
    return whole


def _check_nullable(row: int, spec: InputSignature) -> None:
    if not spec.nullable:
        raise TrainyardError(
            f"Column {spec.name}, row {row}: the value is missing, and none was missing in training.",
            remedy="Give a value.",
            cause="InputInvalid",
        )


def _unfit(spec: InputSignature, row: int, value: Any, wanted: str) -> TrainyardError:
    shown = repr(value)
    shown = shown if len(shown) <= 40 else shown[:37] + "..."
    return TrainyardError(f"Column {spec.name}, row {row}: {shown} is not {wanted}.", cause="InputInvalid")


def _text(data: bytes, source: str) -> Columns:
    """JSON or JSON Lines if it begins like it, else CSV."""
    start = data.lstrip()[:1]
    if start not in (b"{", b"["):
        return _csv(data, source)
    try:
        rows = json.loads(data)
    except ValueError:
        rows = [_line(line, number, source) for number, line in enumerate(data.splitlines(), start=1) if line.strip()]
    return _turned(rows if isinstance(rows, list) else [rows], source)


def _line(line: bytes, number: int, source: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise _unreadable(f"{source}:{number}", f"no valid JSON: {error}") from error


def _turned(rows: list[Any], source: str) -> Columns:
    """Rows as columns. Every row must have the same ones: a key left out by mistake is no missing value."""
    columns: Columns = {}
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise _unreadable(source, f"row {number} is no object with a value for each column")
        if number > 1 and (odd := set(row) ^ set(columns)):
            raise _unreadable(
                source, f"row {number} and the rows before it differ in the columns {', '.join(sorted(odd))}"
            )
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    return _filled(columns, source)


def _csv(data: bytes, source: str) -> Columns:
    try:
        table = pl.read_csv(io.BytesIO(data), infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise _unreadable(source, f"no valid CSV: {error}") from error
    found = table.to_dict(as_series=False)
    return _filled({name: [None if v in MISSING else v for v in values] for name, values in found.items()}, source)


def _image(data: bytes, ending: str, source: str, signature: Signature) -> Columns:
    spec = signature.inputs[0]
    if len(spec.shape) not in (3, 4) or spec.datatype != "UINT8":
        raise TrainyardError(
            f"This model takes {', '.join(one.name for one in signature.inputs)}, not images.",
            source,
            cause="InputInvalid",
        )
    try:
        return {spec.name: [decode(ending, data, ArraySpec(np.dtype("uint8"), tuple(spec.shape[1:])))]}
    except BadSample as error:
        raise _unreadable(source, str(error)) from error


def _filled(columns: Columns, source: str) -> Columns:
    if not columns or not next(iter(columns.values())):
        raise _unreadable(source, "there are no rows in it")
    return columns


def _unreadable(source: str, why: str) -> TrainyardError:
    return TrainyardError(
        f"The input can't be read: {why}.",
        source,
        "Give CSV with a header, JSON Lines, JSON, Parquet, or an image.",
        cause="InputUnreadable",
    )
