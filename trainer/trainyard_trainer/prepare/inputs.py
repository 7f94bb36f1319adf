"""The inputs of the model: which columns they are, and the steps fitted for each."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trainyard_api.documents import ColumnCard, PlanInput, Step
from trainyard_api.recipe import Prepare
from trainyard_trainer.prepare.card import Card
from trainyard_trainer.prepare.columns import Columns
from trainyard_trainer.prepare.features import feature_names
from trainyard_trainer.prepare.fit import Fitted, fit_categorical, fit_numeric, outlier_bounds, rounded
from trainyard_trainer.prepare.ingest import Ingested
from trainyard_trainer.prepare.rows import Rows
from trainyard_trainer.prepare.split import DROPPED, TRAIN
from trainyard_trainer.prepare.tensors import channel_statistics, layout_of, scale_step

_PIECE_BYTES = 8 * 1024 * 1024


@dataclass
class Inputs:
    """Inputs with their fitted steps; `features` names the columns of the feature matrix (none for a tensor)."""

    inputs: list[PlanInput] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    row_steps: list[Step] = field(default_factory=list)
    features: list[str] = field(default_factory=list)


def fit_inputs(rows: Rows, columns: Columns, ingested: Ingested, prepare: Prepare, card: Card) -> Inputs:
    """Fit every input on the training split; outliers are dropped from `rows` first where that is asked for."""
    if columns.tensor:
        return _fit_tensor(rows, columns.tensor, prepare, card)
    result = Inputs()
    if prepare.outliers.method != "none" and prepare.outliers.action == "drop":
        result.row_steps = _drop_outliers(rows, columns.numeric, prepare, card)
    nullable = {
        **{n: prepare.missing.numeric != "drop" and ingested.present[n] < ingested.rows for n in columns.numeric},
        **{
            n: prepare.missing.categorical != "drop" and ingested.present[n] < ingested.rows
            for n in columns.categorical
        },
    }

    def fit(name: str) -> Fitted:
        column = rows.column(name, TRAIN)
        return (fit_numeric if name in columns.numeric else fit_categorical)(column, nullable[name], prepare)

    names = columns.scalars
    with ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1))) as pool:
        fitted = dict(zip(names, pool.map(fit, names), strict=True))
    for name, column in fitted.items():
        if column.left_out:
            card.left_out(name, len(rows), column.left_out)
            card.columns.append(column.card.model_copy(update={"kind": "left out"}))
            continue
        card.columns.append(column.card)
        kind, dtype = ("numeric", "float64") if name in columns.numeric else ("categorical", "str")
        result.inputs.append(PlanInput(name=name, kind=kind, dtype=dtype, nullable=nullable[name]))  # type: ignore[arg-type]
        result.steps += column.steps
    result.features = feature_names(result.inputs, result.steps)
    return result


def _drop_outliers(rows: Rows, names: list[str], prepare: Prepare, card: Card) -> list[Step]:
    """Leave training rows out that have a value beyond its column's bounds. Bounds are fitted before any is dropped."""
    steps: list[Step] = []
    train = rows.split == TRAIN
    outlying = np.zeros(len(rows), np.bool_)
    for name in names:
        values = rows.column(name).to_numpy()  # nulls arrive as NaN
        present = values[train & ~np.isnan(values)]
        bounds = outlier_bounds(present, prepare.outliers) if len(present) else None
        if bounds:
            outlying |= train & ((values < bounds[0]) | (values > bounds[1]))
            steps.append(Step(op="drop_outliers", column=name, low=bounds[0], high=bounds[1]))
    rows.split = np.where(outlying, np.uint8(DROPPED), rows.split)
    before = int(train.sum())
    card.step(
        "drop outliers", "train", before, before - int(outlying.sum()), f"beyond the {prepare.outliers.method} bounds"
    )
    return steps


def _fit_tensor(rows: Rows, name: str, prepare: Prepare, card: Card) -> Inputs:
    if prepare.outliers.method != "none":
        trained = rows.counts()[TRAIN]
        card.step("skip outliers", "train", trained, trained, f"{name} holds arrays: its values stay as they are")
    pieces = _tensor_pieces(rows, name)
    first = next(_tensor_pieces(rows, name))
    shape = first.shape[1:]
    layout = layout_of(shape)
    channels = channel_statistics(pieces, layout, keep_sample=prepare.scale == "robust")
    card.columns.append(
        ColumnCard(
            name=name,
            kind=f"tensor {first.dtype} {list(shape)}",
            missing=0,
            mean=rounded(float(np.mean([channel.mean for channel in channels]))),
            deviation=rounded(float(np.mean([channel.deviation for channel in channels]))),
            minimum=min(channel.low for channel in channels),
            maximum=max(channel.high for channel in channels),
        )
    )
    column = PlanInput(name=name, kind="tensor", dtype=str(first.dtype), shape=list(shape), layout=layout)
    return Inputs([column], scale_step(name, channels, prepare.scale))


def _tensor_pieces(rows: Rows, name: str) -> Iterator[NDArray[np.generic]]:
    """The training arrays in pieces of a fixed number of rows, so that sums don't depend on the buckets."""
    held: list[NDArray[np.generic]] = []
    count, size = 0, 0
    for frame, split in rows.pieces([name]):
        values = frame[name].to_numpy()[split == TRAIN]
        size = size or max(1, _PIECE_BYTES // max(1, int(np.prod(values.shape[1:])) * values.itemsize))
        held.append(values)
        count += len(values)
        if count >= size:
            joined = np.concatenate(held)
            full = count // size * size
            yield from np.split(joined[:full], full // size)
            held, count = [joined[full:]], count - full
    if count:
        yield np.concatenate(held)
