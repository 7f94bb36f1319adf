"""What each source column is to the preparation, and the one form in which its values are compared and kept.

In that form NaN, null and empty text are all null, infinities are null, -0.0 is 0.0, and every number is a float64.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

import polars as pl

from trainyard_api.errors import TrainyardError
from trainyard_api.recipe import Data
from trainyard_trainer.sources.named import named

TEMPORAL = (pl.Date, pl.Datetime, pl.Duration, pl.Time)


@dataclass(frozen=True)
class Columns:
    """The columns of a source by role. `expressions` give each in canonical form."""

    numeric: list[str]
    categorical: list[str]
    tensor: str | None
    target: str  # "": none
    key: str | None
    kept: list[str]  # inputs and target, as in the source
    compared: list[str]  # by which rows are told apart
    expressions: list[pl.Expr]

    @property
    def scalars(self) -> list[str]:
        """Numeric and categorical inputs, as in the source."""
        return [name for name in self.kept if name in self.numeric or name in self.categorical]


def assign_roles(schema: pl.Schema, target: str, data: Data, drop: list[str], where: str) -> Columns:
    """Decide every column's role by its type. Raises TrainyardError for unknown names and types that can't be used."""
    _check_target(schema, target, where)
    for field, names in (
        ("prepare.drop", drop),
        ("data.categorical", data.categorical),
        ("data.split.key", [data.split.key] if data.split.key else []),
    ):
        for name in names:
            check_known(name, schema, field, where)
    if target in drop:
        raise TrainyardError(f"The target {target} is among prepare.drop.", "prepare.drop", "Take it out there.")
    inputs = [name for name in schema if name not in {target, data.split.key, *drop}]
    numeric = [n for n in inputs if _is_number(schema[n]) and n not in data.categorical]
    tensors = [n for n in inputs if schema[n].is_nested() and not isinstance(schema[n], pl.Struct)]
    categorical = [n for n in inputs if n not in numeric and (is_text(schema[n]) or n in data.categorical)]
    for name in inputs:
        if name not in {*numeric, *tensors, *categorical}:
            raise TrainyardError(
                f"Column {name} is of a type that can't be an input: {schema[name]}.",
                where,
                f"Leave it out (prepare.drop: [{name}]), or write it as numbers, text or a list of numbers.",
                cause="UnusableColumn",
            )
    _check_tensors(schema, tensors, numeric + categorical, where)
    usable = [n for n in schema if n in {target, data.split.key, *inputs} or _comparable(schema[n])]
    return Columns(
        [n for n in inputs if n in numeric],
        [n for n in inputs if n in categorical],
        tensors[0] if tensors else None,
        target,
        data.split.key,
        [n for n in schema if n in inputs or n == target],
        sorted(usable),
        [_canonical(n, schema[n], as_text=n in categorical, is_target=n == target) for n in usable],
    )


def _check_target(schema: pl.Schema, target: str, where: str) -> None:
    check_known(target, schema, "data.target", where)
    if schema[target].is_nested():
        raise TrainyardError(f"The target {target} is no single value but {schema[target]}.", where, "Name another.")


def check_known(name: str, schema: pl.Schema, field: str, where: str) -> None:
    """Raise TrainyardError if the manifest's `field` names a column that isn't there."""
    if name in schema:
        return
    near = get_close_matches(name, list(schema), n=1, cutoff=0.5)
    remedy = f"Did you mean {near[0]}? " if near else ""
    raise TrainyardError(
        f"There is no column {name} ({field}).",
        where,
        f"{remedy}The columns are: {_some(schema)}.",
        cause="NoSuchColumn",
    )


def _some(names: Iterable[str], most: int = 20) -> str:
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")


def _check_tensors(schema: pl.Schema, tensors: list[str], scalars: list[str], where: str) -> None:
    if tensors and (len(tensors) > 1 or scalars):
        others = [*tensors[1:], *scalars]
        raise TrainyardError(
            f"Column {tensors[0]} holds arrays, and there are other inputs beside it: {_some(others)}.",
            where,
            f"The input is one array or any number of scalars: leave the others out (prepare.drop: [{others[0]}]).",
            cause="MixedInputs",
        )
    for name in tensors:
        check_array(name, schema[name], where)


def check_array(name: str, dtype: pl.DataType, where: str) -> None:
    """Raise TrainyardError if a nested column isn't made of numbers in one shape."""
    if not isinstance(dtype, pl.Array) or not tensor_element(dtype).is_numeric():
        raise TrainyardError(
            f"Column {name} holds {dtype}, not arrays of numbers of one shape.",
            where,
            "Give every row's array the same shape, or leave the column out (prepare.drop).",
            cause="UnusableColumn",
        )


def tensor_element(dtype: pl.DataType) -> pl.DataType:
    """Type of the numbers in nested arrays or lists."""
    while isinstance(dtype, pl.Array | pl.List):
        dtype = dtype.inner  # type: ignore[assignment]
    return dtype


def _is_number(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or dtype in (pl.Boolean, pl.Null) or isinstance(dtype, TEMPORAL)


def is_text(dtype: pl.DataType) -> bool:
    """Whether values are texts."""
    return dtype == pl.String or isinstance(dtype, pl.Categorical | pl.Enum)


def _comparable(dtype: pl.DataType) -> bool:
    return _is_number(dtype) or is_text(dtype)


def _canonical(name: str, dtype: pl.DataType, *, as_text: bool, is_target: bool) -> pl.Expr:
    column = named(name)
    if dtype.is_nested():
        return column
    if is_text(dtype):
        text = column.cast(pl.String)
        return pl.when(text != "").then(text).alias(name)
    number = as_number(column, dtype)
    if as_text or (is_target and (dtype.is_integer() or dtype == pl.Boolean)):
        return _number_as_text(column, number, dtype).alias(name) if as_text else _target_value(column, dtype)
    return number.alias(name)


def _target_value(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Whole numbers stay whole, so that they can still be classes; truth values become text."""
    return column.cast(pl.String) if dtype == pl.Boolean else column.cast(pl.Int64)


def as_number(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """float64; NaN and infinities are null, -0.0 is 0.0, points in time are seconds since 1970."""
    if dtype == pl.Date:
        number = column.cast(pl.Datetime("us")).dt.timestamp("us") / 1e6
    elif isinstance(dtype, pl.Datetime):
        number = column.dt.timestamp("us") / 1e6
    elif isinstance(dtype, pl.Duration):
        number = column.dt.total_microseconds() / 1e6
    elif dtype == pl.Time:
        number = column.cast(pl.Int64) / 1e9
    else:
        number = column.cast(pl.Float64)
    # Polars simplifies x + 0.0 to x, so -0.0 has to be replaced.
    return pl.when(number == 0).then(0.0).when(number.is_finite()).then(number)


def _number_as_text(column: pl.Expr, number: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """The name of a category given as a number: 2 and 2.0 are both `2`."""
    if dtype == pl.Boolean or dtype.is_integer():
        return column.cast(pl.String)
    whole = number == number.round()
    return pl.when(whole).then(number.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(number.cast(pl.String))
