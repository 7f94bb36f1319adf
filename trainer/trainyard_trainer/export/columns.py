"""Raw columns as arrays: what a published model is fed with. No torch here."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainyard_api.documents import Plan, PlanInput
from trainyard_api.errors import TrainyardError

Array = NDArray[Any]


def arrays_of(frame: pl.DataFrame, plan: Plan) -> dict[str, Array]:
    """Rows of a table as the model's inputs: float64 with NaN, texts with "" for missing, tensors [rows, *shape]."""
    return {one.name: _array(frame[one.name], one) for one in plan.inputs}


def _array(column: pl.Series, spec: PlanInput) -> Array:
    if spec.kind == "numeric":
        return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    if spec.kind == "categorical":
        return np.array(column.cast(pl.String).fill_null("").to_list(), dtype=object)
    return column.to_numpy().reshape(len(column), *spec.shape).astype(spec.dtype, copy=False)


def category_table(plan: Plan) -> dict[str, dict[str, int]]:
    """For each categorical input: text to index. What isn't in it is unknown, and has the number of categories.

    "" (missing) has the index of the value it is filled in with, where missing values are allowed.
    """
    nullable = {one.name for one in plan.inputs if one.nullable}
    tables: dict[str, dict[str, int]] = {}
    for step in plan.steps:
        if step.op in ("onehot", "ordinal") and step.column is not None:
            tables[step.column] = {text: i for i, text in enumerate(step.categories or [])}
    for step in plan.steps:
        if step.op == "fill" and step.column in tables and step.column in nullable:
            table = tables[step.column]
            table[""] = table.get(str(step.value), len(table))
    return tables


def known_categories(plan: Plan, column: str) -> list[str]:
    """Categories of `column` in the order of their index."""
    return next(
        (step.categories or [] for step in plan.steps if step.column == column and step.op in ("onehot", "ordinal")), []
    )


def coded(inputs: Mapping[str, Any], plan: Plan) -> list[Array]:
    """Arrays for the torch.export program, in the plan's order: texts replaced by their index.

    :raises TrainyardError: a column is missing, superfluous, or can't be turned into the type it must have
    """
    wrong = {one.name for one in plan.inputs} ^ set(inputs)
    if wrong:
        raise TrainyardError(
            f"Columns missing or not known to the model: {', '.join(sorted(wrong))}.",
            remedy=f"Give exactly {', '.join(one.name for one in plan.inputs)}.",
            cause="InputInvalid",
        )
    tables = category_table(plan)
    return [_coded(inputs[one.name], one, tables) for one in plan.inputs]


def _coded(values: Any, spec: PlanInput, tables: dict[str, dict[str, int]]) -> Array:
    if spec.kind == "categorical":
        table = tables[spec.name]
        unknown = len(table) - ("" in table)
        texts = ["" if value is None else str(value) for value in values]
        return np.array([table.get(text, unknown) for text in texts], dtype=np.int64)
    dtype = np.dtype("float64") if spec.kind == "numeric" else np.dtype(spec.dtype)
    try:
        array = np.asarray(values, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise TrainyardError(f"Column {spec.name}: {error}.", remedy=f"Give {dtype}.", cause="InputInvalid") from error
    if list(array.shape[1:]) != spec.shape:
        raise TrainyardError(
            f"Column {spec.name}: one sample has shape {list(array.shape[1:])}, not {spec.shape}.", cause="InputInvalid"
        )
    return array
