"""Columns of lists that all have one length, as arrays."""

from collections.abc import Callable

import numpy as np
import polars as pl

from trainyard_storage.source import SourceFile
from trainyard_trainer.sources.bad import BadSamples
from trainyard_trainer.sources.named import named

Scan = Callable[[list[SourceFile]], pl.LazyFrame]


def with_arrays(scan: Scan, files: list[SourceFile], bad: BadSamples) -> Scan:
    """`scan` with lists of numbers, one or two deep, as arrays of the first row's shape; rows that differ are bad."""
    table = scan(files)
    shapes = {name: shape for name, dtype in table.collect_schema().items() if (shape := _shape(table, name, dtype))}
    if not shapes:
        return scan
    fits = pl.all_horizontal(_fits(name, shape) for name, shape in shapes.items())
    uneven = table.select((~fits).sum()).collect(engine="streaming").item()
    if uneven:
        wanted = " and ".join(f"{name} of shape {list(shape)}" for name, shape in shapes.items())
        bad.add(files[0].base, f"rows without {wanted}", count=uneven)

    def scan_arrays(chosen: list[SourceFile]) -> pl.LazyFrame:
        part = scan(chosen)
        schema = part.collect_schema()
        casts = [named(name).cast(pl.Array(_element(schema[name]), shape)) for name, shape in shapes.items()]
        return part.filter(fits).with_columns(casts)

    return scan_arrays


def _shape(table: pl.LazyFrame, name: str, dtype: pl.DataType) -> tuple[int, ...]:
    """Shape of the column's first list; () if it isn't such a column."""
    if not isinstance(dtype, pl.List) or not _element(dtype).is_numeric():
        return ()
    first = table.select(named(name).drop_nulls().head(1)).collect(engine="streaming")[name].to_list()
    try:
        shape = np.array(first, np.float64).shape[1:]
    except (TypeError, ValueError):  # lists of several lengths within one
        return ()
    return shape if len(shape) <= 2 and 0 not in shape else ()


def _fits(name: str, shape: tuple[int, ...]) -> pl.Expr:
    """Whether a row's list has this shape."""
    column = named(name)
    fits = column.list.len() == shape[0]
    if len(shape) == 2:
        fits &= column.list.eval(pl.element().list.len() == shape[1]).list.all()
    return fits.fill_null(False)


def _element(dtype: pl.DataType) -> pl.DataType:
    while isinstance(dtype, pl.List):
        dtype = dtype.inner  # type: ignore[assignment]
    return dtype
