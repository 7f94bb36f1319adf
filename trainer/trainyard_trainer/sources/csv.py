"""CSV: every field is read as text first, then the type that all values of a column have is decided.

So types don't depend on which file comes first, and a damaged line can be told from a missing value.
"""

from collections.abc import Callable
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from trainyard_api.recipe import Data
from trainyard_storage.source import SourceFile
from trainyard_trainer.sources.bad import EXAMPLES, BadSamples
from trainyard_trainer.sources.csv_lines import clean, is_ragged, read_header
from trainyard_trainer.sources.named import named
from trainyard_trainer.sources.same import check_same


def csv_scan(
    paths: dict[SourceFile, Path], data: Data, scratch: Path, bad: BadSamples
) -> Callable[[list[SourceFile]], pl.LazyFrame]:
    """A scan of typed columns. Lines of a wrong number of fields, not UTF-8 or wrongly quoted are left out.

    Raises TrainyardError if a file has no header, or another one than the first.
    """
    headers = {file: read_header(file, path) for file, path in paths.items()}
    check_same(headers)
    if any(is_ragged(path, len(headers[file])) for file, path in paths.items()):
        paths = _clean_all(paths, headers, scratch, bad)
    names = next(iter(headers.values()))
    try:
        types, spoiled = _decide_types(_text(paths, list(paths), headers, data), names, data)
    except PolarsError:
        paths = _clean_all(paths, headers, scratch, bad)
        types, spoiled = _decide_types(_text(paths, list(paths), headers, data), names, data)
    for file in paths if spoiled else []:
        _note_spoiled(file, _text(paths, [file], headers, data), types, spoiled, bad)

    def scan(files: list[SourceFile]) -> pl.LazyFrame:
        text = _text(paths, files, headers, data)
        good = text.filter(~_is_spoiled(types, spoiled)) if spoiled else text
        return good.select(_cast(name, types[name]) for name in names)

    return scan


def _text(
    paths: dict[SourceFile, Path], files: list[SourceFile], headers: dict[SourceFile, list[str]], data: Data
) -> pl.LazyFrame:
    """All columns as text without blanks around it; what means missing is null."""
    frames = [
        # Polars leaves doubled quotes in the header's names as they are.
        pl.scan_csv(paths[file], infer_schema=False, empty_string_is_null=False, new_columns=headers[file], glob=False)
        for file in files
    ]
    names = next(iter(headers.values()))
    missing = [text.strip() for text in data.missing_values]
    value = pl.all().str.strip_chars()
    return pl.concat([f.select(named(*names)) for f in frames]).with_columns(
        pl.when(value.is_in(missing)).then(None).otherwise(value).name.keep()
    )


def _clean_all(
    paths: dict[SourceFile, Path], headers: dict[SourceFile, list[str]], scratch: Path, bad: BadSamples
) -> dict[SourceFile, Path]:
    copies = {file: scratch / "clean" / file.split / file.key for file in paths}
    for file, path in paths.items():
        copies[file].parent.mkdir(parents=True, exist_ok=True)
        clean(file, path, copies[file], len(headers[file]), bad)
    return copies


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
