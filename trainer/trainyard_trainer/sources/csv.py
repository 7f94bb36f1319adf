"""CSV: every field is read as text first, then the type that all values of a column have is decided.

So types don't depend on which file comes first, and a damaged line can be told from a missing value.
"""

import csv
from collections.abc import Callable
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from trainyard_api.errors import TrainyardError
from trainyard_api.recipe import Data
from trainyard_storage.source import SourceFile
from trainyard_trainer.sources.bad import EXAMPLES, BadSamples
from trainyard_trainer.sources.named import named


def csv_scan(
    paths: dict[SourceFile, Path], data: Data, scratch: Path, bad: BadSamples
) -> Callable[[list[SourceFile]], pl.LazyFrame]:
    """A scan of typed columns. Lines of a wrong number of fields, not UTF-8 or wrongly quoted are left out."""
    if any(_is_ragged(path) for path in paths.values()):
        paths = _clean_all(paths, scratch, bad)
    names = list(_header(next(iter(paths.values()))))
    try:
        types, spoiled = _decide_types(_text(paths, list(paths), names, data), names, data)
    except PolarsError:
        paths = _clean_all(paths, scratch, bad)
        types, spoiled = _decide_types(_text(paths, list(paths), names, data), names, data)
    for file in paths if spoiled else []:
        _note_spoiled(file, _text(paths, [file], names, data), types, spoiled, bad)

    def scan(files: list[SourceFile]) -> pl.LazyFrame:
        text = _text(paths, files, names, data)
        good = text.filter(~_is_spoiled(types, spoiled)) if spoiled else text
        return good.select(_cast(name, types[name]) for name in names)

    return scan


def _header(path: Path) -> list[str]:
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            header = next(csv.reader(file), [])
            "".join(header).encode()
            return header
    except (UnicodeEncodeError, csv.Error) as error:
        raise TrainyardError(
            f"The file is no CSV: {error}.", str(path), "Save it as CSV in UTF-8.", cause="DataCorrupt"
        ) from error


def _text(paths: dict[SourceFile, Path], files: list[SourceFile], names: list[str], data: Data) -> pl.LazyFrame:
    """All columns as text without blanks around it; what means missing is null."""
    frames = [
        # Polars leaves doubled quotes in the header's names as they are.
        pl.scan_csv(paths[file], infer_schema=False, empty_string_is_null=False, new_columns=_header(paths[file]))
        for file in files
    ]
    missing = [text.strip() for text in data.missing_values]
    value = pl.all().str.strip_chars()
    return pl.concat([f.select(named(*names)) for f in frames]).with_columns(
        pl.when(value.is_in(missing)).then(None).otherwise(value).name.keep()
    )


def _is_ragged(path: Path) -> bool:
    """Whether a line without quotes has another number of commas than the header. Quoted ones are left to Polars."""
    commas = len(_header(path)) - 1
    line = pl.col("line")
    ragged = (
        (line != "") & ~line.str.contains('"', literal=True) & (line.str.count_matches(",", literal=True) != commas)
    )
    try:
        return bool(pl.scan_lines(path).select(ragged.any()).collect(engine="streaming").item())
    except PolarsError:  # not UTF-8
        return True


def _clean_all(paths: dict[SourceFile, Path], scratch: Path, bad: BadSamples) -> dict[SourceFile, Path]:
    clean = {file: scratch / "clean" / file.split / file.key for file in paths}
    for file, path in paths.items():
        clean[file].parent.mkdir(parents=True, exist_ok=True)
        _clean(file, path, clean[file], bad)
    return clean


def _clean(file: SourceFile, path: Path, clean: Path, bad: BadSamples) -> None:
    """Copy the lines that are well-formed."""
    width = len(_header(path))
    with (
        path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as source,
        clean.open("w", newline="", encoding="utf-8") as target,
    ):
        reader, writer = csv.reader(source, strict=True), csv.writer(target)
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


def _decide_types(text: pl.LazyFrame, names: list[str], data: Data) -> tuple[dict[str, pl.DataType], list[str]]:
    """The type of each column, and the numeric columns in which a few values are no numbers.

    A few: a share of at most data.maxBadShare of the column's values. With more the column is text.
    """
    free = [name for name in names if name not in data.categorical]
    counts = (
        text.select(
            expression
            for name in free
            for expression in (
                named(name).count().alias(f"{name}\0values"),
                named(name).cast(pl.Int64, strict=False).count().alias(f"{name}\0ints"),
                named(name).cast(pl.Float64, strict=False).count().alias(f"{name}\0floats"),
                named(name).str.to_lowercase().is_in(["true", "false"]).sum().alias(f"{name}\0bools"),
            )
        )
        .collect(engine="streaming")
        .row(0, named=True)
    )
    types: dict[str, pl.DataType] = dict.fromkeys(names, pl.String())
    spoiled: list[str] = []
    for name in free:
        values, ints, floats, bools = (counts[f"{name}\0{what}"] for what in ("values", "ints", "floats", "bools"))
        if values and bools == values:
            types[name] = pl.Boolean()
        elif not values or ints == values:
            types[name] = pl.Int64() if values else pl.Float64()
        elif values - floats <= data.max_bad_share * values:
            types[name] = pl.Float64()
            if floats < values:
                spoiled.append(name)
    return types, spoiled


def _cast(name: str, dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.Boolean:
        return named(name).str.to_lowercase() == "true"
    return named(name).cast(dtype, strict=False)


def _is_spoiled(types: dict[str, pl.DataType], spoiled: list[str]) -> pl.Expr:
    return pl.any_horizontal(
        named(name).is_not_null() & named(name).cast(types[name], strict=False).is_null() for name in spoiled
    )


def _note_spoiled(
    file: SourceFile, text: pl.LazyFrame, types: dict[str, pl.DataType], spoiled: list[str], bad: BadSamples
) -> None:
    """Note the rows whose value in a numeric column is no number."""
    rows = text.with_row_index("\0row").filter(_is_spoiled(types, spoiled)).select(pl.col("\0row"), named(*spoiled))
    found = rows.collect(engine="streaming").sort("\0row")
    for row in found.head(EXAMPLES).iter_rows(named=True):
        texts = [name for name in spoiled if row[name] is not None and _is_text(row[name])]
        bad.add(f"{file.key}, row {row[chr(0) + 'row'] + 1}", f"{texts[0]} is {row[texts[0]]!r}, no number")
    bad.count += max(0, found.height - EXAMPLES)


def _is_text(value: str) -> bool:
    return pl.Series([value]).cast(pl.Float64, strict=False).is_null().all()
