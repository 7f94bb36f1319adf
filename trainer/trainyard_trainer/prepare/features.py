"""The plan applied: raw scalar columns to a matrix of features."""

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainyard_api.documents import Plan, PlanInput, Step
from trainyard_trainer.sources.named import unnamed

Features = NDArray[np.float32]
ROW_STEPS = ("drop_duplicates", "drop_missing", "drop_outliers", "balance")
"""Steps that chose the rows to train on; whoever applies a plan to new rows leaves them out."""


def feature_names(inputs: list[PlanInput], steps: list[Step]) -> list[str]:
    """Names of the features in order: the column's, or column=category for a one-hot slot."""
    names: list[str] = []
    for column in inputs:
        onehot = next((step for step in steps if step.column == column.name and step.op == "onehot"), None)
        if onehot:
            names += [f"{column.name}={category}" for category in onehot.categories or []]
            names.append(f"{column.name} unknown")
        else:
            names.append(column.name)
    return names


def transform(frame: pl.DataFrame, plan: Plan) -> Features:
    """Apply `plan` to `frame`, which has its scalar inputs in canonical form: float32 [rows, width].

    Computed in float64 and cast last, exactly as documents.Plan says, so that others can repeat it.
    """
    result = np.zeros((frame.height, len(plan.features)), np.float32)
    start = 0
    for column in plan.inputs:
        steps = [step for step in plan.steps if step.column == column.name and step.op not in ROW_STEPS]
        write = _write_numeric if column.kind == "numeric" else _write_categorical
        start += write(unnamed(frame[column.name]), steps, result[:, start:])
    return result


def _write_numeric(column: pl.Series, steps: list[Step], out: Features) -> int:
    values: NDArray[np.float64] = column.to_numpy()  # nulls arrive as NaN
    for step in steps:
        values = _NUMERIC[step.op](values, step)
    out[:, 0] = values
    return 1


_NUMERIC: dict[str, Callable[[NDArray[np.float64], Step], NDArray[np.float64]]] = {
    "fill": lambda x, step: np.where(np.isnan(x), float(step.value or 0.0), x),
    "clip": lambda x, step: np.minimum(np.maximum(x, step.low), step.high),  # type: ignore[arg-type]
    "scale": lambda x, step: (x - step.offset) / step.factor,  # type: ignore[operator]
}


def _write_categorical(column: pl.Series, steps: list[Step], out: Features) -> int:
    fill = next((step.value for step in steps if step.op == "fill"), None)
    encode = next(step for step in steps if step.op in ("onehot", "ordinal"))
    categories = encode.categories or []
    filled = column if fill is None else column.fill_null(str(fill))
    codes = category_codes(filled, categories)
    if encode.op == "ordinal":
        out[:, 0] = codes / max(1, len(categories))
        return 1
    out[np.arange(len(codes)), codes] = 1.0
    return len(categories) + 1


def category_codes(texts: pl.Series, categories: list[str]) -> NDArray[np.intp]:
    """Index of each text in `categories`; their number for what isn't among them."""
    known = texts.cast(pl.Enum(categories), strict=False)
    return known.to_physical().cast(pl.Int64).fill_null(len(categories)).to_numpy().astype(np.intp, copy=False)
