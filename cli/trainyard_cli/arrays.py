"""Columns that people give to a model, as arrays that it takes, checked value by value."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainyard_api.documents import InputSignature, Signature
from trainyard_api.errors import TrainyardError
from trainyard_cli.rows import Columns

Arrays = dict[str, NDArray[Any]]

DTYPES = {"FP64": "float64", "FP32": "float32", "INT64": "int64", "UINT8": "uint8"}


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
