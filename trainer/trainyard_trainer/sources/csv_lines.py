"""CSV as lines: the header, and a copy of those lines that are well-formed."""

import csv
from collections import Counter
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from trainyard_api.errors import TrainyardError
from trainyard_storage.source import SourceFile
from trainyard_trainer.sources.bad import BadSamples

_QUOTED = r'"[^"]*"'  # a doubled quote ends one such part and begins another


def read_header(file: SourceFile, path: Path) -> list[str]:
    """The names in the first line that isn't blank. Raises TrainyardError if there is none, or a name comes twice."""
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as lines:
            header = next((row for row in csv.reader(lines, strict=True) if row), [])
            "".join(header).encode()
    except (UnicodeEncodeError, csv.Error) as error:
        raise TrainyardError(
            f"The file is no CSV: {error}.", file.uri, "Save it as CSV in UTF-8.", cause="DataCorrupt"
        ) from error
    if not header:
        raise TrainyardError("The file has only blank lines.", file.uri, "Check data.uri.", cause="EmptyData")
    other = next((mark for mark in ";\t|" if len(header) == 1 and mark in header[0]), None)
    if other:
        raise TrainyardError(
            f"The values are separated by {other!r}, not by commas.",
            file.uri,
            "Save it with commas.",
            cause="DataCorrupt",
        )
    name, times = Counter(header).most_common(1)[0]
    if times > 1:
        what = f"{times} columns are called {name}" if name else f"{times} columns have no name in the header"
        raise TrainyardError(f"{what}.", file.uri, "Give every column a name of its own.", cause="DataMismatch")
    return header


def is_ragged(path: Path, width: int) -> bool:
    """Whether the header isn't in the first line, or a line may have another number of fields than `width`.

    Fields that go over several lines count as such.
    """
    line = pl.col("line")
    bare = line.str.replace_all(_QUOTED, "")
    uneven = bare.str.contains('"', literal=True) | (bare.str.count_matches(",", literal=True) != width - 1)
    late = line.first().str.strip_chars("\ufeff") == ""
    try:
        lines = pl.scan_lines(path, glob=False).select(late | ((line != "") & uneven).any())
        return bool(lines.collect(engine="streaming").item())
    except PolarsError:  # not UTF-8
        return True


def clean(file: SourceFile, path: Path, target: Path, width: int, bad: BadSamples) -> None:
    """Copy the lines of `path` that are well-formed, the header first, to `target`."""
    with (
        path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as source,
        target.open("w", newline="", encoding="utf-8") as copy,
    ):
        reader, writer = csv.reader(source, strict=True), csv.writer(copy)
        while True:
            before = reader.line_num
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                bad.add(f"{file.key}, line {before + 1}", str(error), count=max(1, reader.line_num - before))
                continue
            if row and (problem := _problem(row, width)):
                bad.add(f"{file.key}, line {before + 1}", problem)
            elif row:
                writer.writerow(row)


def _problem(row: list[str], width: int) -> str:
    if len(row) != width:
        return f"has {len(row)} fields, not {width}"
    return "is not UTF-8" if any(not value.isascii() and _has_surrogate(value) for value in row) else ""


def _has_surrogate(value: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in value)
