"""Statistics of single columns, fitted on the training split, and the steps that follow from them.

A column's values come in the rows' order and in whole, so that a statistic doesn't depend on how the source was cut
into files. Every statistic is rounded to 9 significant digits.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainyard_api.documents import ColumnCard, Step
from trainyard_api.recipe import Outliers, Prepare
from trainyard_trainer.sources.named import VALUES, unnamed

Values = NDArray[np.float64]

_SMALLEST_SPREAD = 1e-8


def rounded(value: float) -> float:
    """`value` to 9 significant digits; never -0.0."""
    return float(f"{value:.9g}") + 0.0


@dataclass
class Fitted:
    """One input column: the steps it goes through, and what the card says of it. No steps: it is left out, and why."""

    card: ColumnCard
    steps: list[Step]
    left_out: str = ""


def outlier_bounds(values: Values, outliers: Outliers) -> tuple[float, float] | None:
    """Bounds beyond which a value is an outlier. `values`: not empty, none missing. None: none asked for.

    iqr: quartiles -/+ factor (1.5) x their range (Tukey 1977); zscore: mean -/+ factor (3) x deviation.
    """
    if outliers.method == "none":
        return None
    if outliers.method == "iqr":
        lower, upper = np.quantile(values, [0.25, 0.75])
        reach = (outliers.factor or 1.5) * (upper - lower)
        return rounded(lower - reach), rounded(upper + reach)
    mean, reach = values.mean(), (outliers.factor or 3.0) * values.std()
    return rounded(mean - reach), rounded(mean + reach)


def fit_numeric(column: pl.Series, nullable: bool, prepare: Prepare) -> Fitted:
    """Steps fill, clip, scale for a numeric column of the training split (float64, nulls are missing).

    `nullable`: whether values are missing in any split. Fill values, mean and deviation are fitted after clipping.
    """
    missing = column.null_count()
    values: Values = unnamed(column).drop_nulls().to_numpy()
    card = _numeric_card(column.name, missing, values)
    if not len(values):
        return Fitted(card, [], "it has no value in the training split")
    if values.min() == values.max():
        return Fitted(card, [], "every value is the same")
    steps: list[Step] = []
    bounds = outlier_bounds(values, prepare.outliers) if prepare.outliers.action == "clip" else None
    if bounds:
        clipped = np.count_nonzero((values < bounds[0]) | (values > bounds[1]))
        card = card.model_copy(update={"clipped": int(clipped)})
        values = values.clip(*bounds)
    if nullable:
        card = card.model_copy(update={"filled": missing})
        fill = rounded(_fill_value(values, prepare))
        steps.append(Step(op="fill", column=column.name, value=fill))
        values = np.concatenate([values, np.full(missing, np.clip(fill, *bounds) if bounds else fill)])
    if bounds:
        steps.append(Step(op="clip", column=column.name, low=bounds[0], high=bounds[1]))
    scale = fit_scale(values, prepare.scale)
    if scale:
        steps.append(Step(op="scale", column=column.name, offset=scale[0], factor=scale[1]))
    return Fitted(card, steps)


def fit_scale(values: Values, kind: str) -> tuple[float, float] | None:
    """(offset, factor) with which (x - offset) / factor has the wanted range; None if none is wanted.

    The factor is 1 where the values don't spread, or by less than what rounding leaves of them.
    """
    if kind == "none":
        return None
    if kind == "standard":
        offset, factor = values.mean(), values.std()
    elif kind == "robust":
        lower, offset, upper = np.quantile(values, [0.25, 0.5, 0.75])
        factor = upper - lower
    else:
        low, high = values.min(), values.max()
        offset, factor = (low, high - low) if kind == "minmax" else ((low + high) / 2, (high - low) / 2)
    spreads = factor > _SMALLEST_SPREAD * max(abs(values.min()), abs(values.max()))
    return rounded(offset), rounded(factor) if spreads else 1.0


def _fill_value(values: Values, prepare: Prepare) -> float:
    match prepare.missing.numeric:
        case "mean":
            return float(values.mean())
        case "mode":
            distinct, counts = np.unique(values, return_counts=True)
            return float(distinct[counts.argmax()])  # the smallest of the most frequent
        case "constant":
            return prepare.missing.numeric_constant
        case _:
            return float(np.median(values))


def _numeric_card(name: str, missing: int, values: Values) -> ColumnCard:
    card = ColumnCard(name=name, kind="numeric", missing=missing)
    if not len(values):
        return card
    return card.model_copy(
        update={
            "mean": rounded(values.mean()),
            "deviation": rounded(values.std()),
            "minimum": rounded(values.min()),
            "maximum": rounded(values.max()),
        }
    )


def fit_categorical(column: pl.Series, nullable: bool, prepare: Prepare) -> Fitted:
    """Steps fill and onehot or ordinal for a text column of the training split; nulls are missing."""
    missing = column.null_count()
    counts = _frequencies(column)
    distinct = len(counts)
    card = ColumnCard(name=column.name, kind="categorical", missing=missing, distinct=distinct)
    if not distinct:
        return Fitted(card, [], "it has no value in the training split")
    if distinct > 20 and distinct > (len(column) - missing) / 2:
        return Fitted(card, [], f"{distinct} different texts in {len(column) - missing} rows look like names or ids")
    steps: list[Step] = []
    if nullable:
        policy = prepare.missing
        fill = policy.categorical_constant if policy.categorical == "constant" else next(iter(counts))
        card = card.model_copy(update={"filled": missing})
        steps.append(Step(op="fill", column=column.name, value=fill))
        if missing:
            counts[fill] = counts.get(fill, 0) + missing
    if len(counts) == 1:
        return Fitted(card, [], "every value is the same")
    kept = sorted(counts, key=lambda text: (-counts[text], text))[: prepare.max_categories]
    steps.append(Step(op=prepare.categories, column=column.name, categories=kept))
    return Fitted(card, steps)


def _frequencies(column: pl.Series) -> dict[str, int]:
    """How often each text occurs, the most frequent first, then by text."""
    counts = unnamed(column).drop_nulls().value_counts(name="count")
    counts = counts.sort("count", VALUES, descending=[True, False])
    return dict(zip(counts[VALUES].to_list(), counts["count"].to_list(), strict=True))
