"""Rows that people give to a model, read from a file or standard input."""

import csv
import io
import json
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl

from trainyard_api.documents import Signature
from trainyard_api.errors import TrainyardError
from trainyard_trainer.sources.decode import IMAGE_ENDINGS, ArraySpec, BadSample, decode

Columns = dict[str, list[Any]]


def read_rows(source: str, stdin: BinaryIO, signature: Signature) -> Columns:
    """Columns of a CSV, JSON Lines, JSON, Parquet or image file; of standard input (JSON or CSV) for `-`.

    :raises TrainyardError: the file is missing, empty, of another format, or can't be read
    """
    if source == "-":
        return _text(stdin.read(), "standard input", signature)
    path = Path(source)
    try:
        data = path.read_bytes()
    except OSError as error:
        why = error.strerror or str(error)
        raise _unreadable(source, why, "Check the path; - reads standard input.") from error
    ending = path.suffix.lower().lstrip(".")
    if ending in IMAGE_ENDINGS:
        return _image(data, ending, source, signature)
    if ending == "parquet":
        try:
            return _filled(pl.read_parquet(io.BytesIO(data)).to_dict(as_series=False), source)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _unreadable(source, f"no valid Parquet: {error}") from error
    if ending == "csv":
        return _csv(data, source, signature)
    return _text(data, source, signature)


def _text(data: bytes, source: str, signature: Signature) -> Columns:
    """JSON or JSON Lines if it begins like it, else CSV."""
    start = data.lstrip()[:1]
    if start not in (b"{", b"["):
        return _csv(data, source, signature)
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


def _csv(data: bytes, source: str, signature: Signature) -> Columns:
    """Texts as training reads them: without blanks around them, and null where they mean a missing value."""
    try:
        lines = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        header = next((line for line in lines if line), [])
        # In a table of one column a blank line is a row without a value.
        rows = [line or [""] for line in lines if line or len(header) == 1]
    except (UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(source, f"no valid CSV: {error}") from error
    if len(set(header)) < len(header):
        raise _unreadable(source, "two columns have one name")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise _unreadable(source, f"row {number} has {len(row)} fields, not {len(header)}")
    missing = {text.strip() for text in signature.missing_values}
    stripped = [[value.strip() for value in row] for row in rows]
    columns = {name: [row[place] for row in stripped] for place, name in enumerate(header)}
    return _filled({name: [None if v in missing else v for v in values] for name, values in columns.items()}, source)


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


def _unreadable(
    source: str, why: str, remedy: str = "Give CSV with a header, JSON Lines, JSON, Parquet, or an image."
) -> TrainyardError:
    return TrainyardError(f"The input can't be read: {why}.", source, remedy, cause="InputUnreadable")
