"""JSON Lines: one object per line. Types are decided over all lines of all files."""

import glob
import json
import math
from collections.abc import Callable
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from trainyard_api.errors import TrainyardError
from trainyard_storage.source import SourceFile
from trainyard_trainer.sources.bad import BadSamples


def jsonl_scan(
    paths: dict[SourceFile, Path], scratch: Path, bad: BadSamples
) -> Callable[[list[SourceFile]], pl.LazyFrame]:
    """A scan of typed columns. Lines that are no JSON object are left out; NaN and infinite numbers are missing."""
    schema: dict[str, pl.DataType] = {}
    for file, path in list(paths.items()):
        try:
            found = _schema(path)
        except PolarsError:
            paths = paths | {file: _clean(file, path, scratch / "clean" / file.split / file.key, bad)}
            found = _schema_of_clean(file, paths[file])
        for name, dtype in found.items():
            schema[name] = _common(schema.get(name, dtype), dtype, name, file)

    if not schema:
        raise TrainyardError(
            "No line names a column.", next(iter(paths)).base, "Write one JSON object per line.", cause="DataCorrupt"
        )

    def scan(files: list[SourceFile]) -> pl.LazyFrame:
        return pl.scan_ndjson([_literal(paths[file]) for file in files], schema=schema)

    return scan


def _literal(path: Path) -> str:
    """`path` as Polars takes it: always for a pattern."""
    return glob.escape(str(path))


def _schema(path: Path) -> pl.Schema:
    lines = pl.scan_ndjson(_literal(path), infer_schema_length=None)
    schema = lines.collect_schema()
    lines.select(pl.len()).collect(engine="streaming")
    return schema


def _schema_of_clean(file: SourceFile, path: Path) -> pl.Schema:
    try:
        return _schema(path) if path.stat().st_size else pl.Schema()
    except PolarsError as error:
        raise TrainyardError(
            f"The lines are no table: {str(error).splitlines()[0][:300]}.",
            file.uri,
            "Give every key values of one type.",
            cause="DataMismatch",
        ) from error


def _clean(file: SourceFile, path: Path, clean: Path, bad: BadSamples) -> Path:
    """Copy the lines that are JSON objects, with null for NaN and Infinity, which Python writes and JSON lacks."""
    clean.parent.mkdir(parents=True, exist_ok=True)
    with path.open("rb") as source, clean.open("wb") as target:
        for number, line in enumerate(source, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line, parse_constant=lambda text: None, parse_float=_finite)
            except ValueError as error:
                bad.add(f"{file.key}, line {number}", f"is no JSON: {error}")
                continue
            if isinstance(value, dict):
                target.write(json.dumps(value).encode() + b"\n")
            else:
                bad.add(f"{file.key}, line {number}", "is no JSON object")
    return clean


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _common(one: pl.DataType, other: pl.DataType, name: str, file: SourceFile) -> pl.DataType:
    """The type that holds the values of both."""
    if one == other or other == pl.Null:
        return one
    if one == pl.Null:
        return other
    if one.is_numeric() and other.is_numeric():
        return pl.Float64()
    raise TrainyardError(
        f"Column {name} is {one} in one file and {other} in another.",
        file.uri,
        f"Give {name} one type in all files, or leave it out with prepare.drop.",
        cause="DataMismatch",
    )
