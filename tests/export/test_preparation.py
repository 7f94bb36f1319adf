"""A plan as a torch module, as the prepare stage applies it, and read word by word: the same bits."""

from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainyard_api.documents import Plan
from trainyard_trainer.export.preparation import PreparationModule
from trainyard_trainer.prepare.features import feature_names, transform

TEXTS = ["", "a", "b", "ä ö", "a=b", "unknown", "Ω"]
NUMBERS = st.floats(-1e12, 1e12) | st.sampled_from([-0.0, 5e-324, 1e300, -1e300])
ROWS = st.integers(1, 6)


@st.composite
def numeric_steps(draw: st.DrawFn, column: str) -> list[dict[str, Any]]:
    low, high = sorted([draw(NUMBERS), draw(NUMBERS)])
    factor = draw(st.floats(1e-6, 1e9)) * draw(st.sampled_from([1, -1]))
    steps: list[dict[str, Any]] = [
        {"op": "fill", "value": draw(NUMBERS)},
        {"op": "clip", "low": low, "high": high},
        {"op": "scale", "offset": draw(NUMBERS), "factor": factor},
    ]
    return [{**step, "column": column} for step in steps if draw(st.booleans())]


@st.composite
def categorical_steps(draw: st.DrawFn, column: str) -> list[dict[str, Any]]:
    categories = draw(st.lists(st.sampled_from(TEXTS), max_size=5, unique=True))
    fill = [{"op": "fill", "value": draw(st.sampled_from(TEXTS)), "column": column}] if draw(st.booleans()) else []
    return [*fill, {"op": draw(st.sampled_from(["onehot", "ordinal"])), "categories": categories, "column": column}]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Scalar plans of every kind of column in any order, with row steps, which nobody applies to new rows."""
    inputs: list[dict[str, Any]] = []
    steps: list[dict[str, Any]] = [{"op": "drop_duplicates"}, {"op": "balance"}]
    for number, kind in enumerate(draw(st.lists(st.sampled_from(["numeric", "categorical"]), min_size=1, max_size=5))):
        name = f"column {number}"
        inputs.append({"name": name, "kind": kind, "dtype": "float64" if kind == "numeric" else "str"})
        steps += draw((numeric_steps if kind == "numeric" else categorical_steps)(name))
    document = {"inputs": inputs, "steps": steps, "features": [], "target": {"name": "y", "task": "regression"}}
    plan = Plan.model_validate(document)
    return plan.model_copy(update={"features": feature_names(plan.inputs, plan.steps)})


def draw_rows(data: st.DataObject, plan: Plan) -> pl.DataFrame:
    """Rows with known and unknown texts, and missing values where the plan fills them."""
    count = data.draw(ROWS)
    columns = []
    for column in plan.inputs:
        values: st.SearchStrategy[Any] = (
            NUMBERS if column.kind == "numeric" else st.sampled_from([*TEXTS, "never seen"])
        )
        if any(step.op == "fill" and step.column == column.name for step in plan.steps):
            values = st.none() | values
        drawn = data.draw(st.lists(values, min_size=count, max_size=count))
        columns.append(pl.Series(column.name, drawn, pl.Float64 if column.kind == "numeric" else pl.String))
    return pl.DataFrame(columns)


def by_the_word(frame: pl.DataFrame, plan: Plan) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """docs/preparation.md, one value after another."""
    rows = []
    for values in frame.rows():
        features: list[float] = []
        for column, value in zip(plan.inputs, values, strict=True):
            for step in (step for step in plan.steps if step.column == column.name):
                known = step.categories or []
                match step.op:
                    case "fill":
                        value = step.value if value is None else value
                    case "clip":
                        value = min(max(value, step.low), step.high)
                    case "scale":
                        value = (value - step.offset) / step.factor  # type: ignore[operator]
                    case "ordinal":
                        value = (known.index(value) if value in known else len(known)) / max(1, len(known))
                    case "onehot":
                        slot = known.index(value) if value in known else len(known)
                        value = [float(slot == index) for index in range(len(known) + 1)]
            features += value if isinstance(value, list) else [value]
        rows.append(features)
    with np.errstate(over="ignore"):
        return np.array(rows, dtype=np.float64).astype(np.float32)


def raw_tensors(frame: pl.DataFrame, plan: Plan) -> list[torch.Tensor]:
    """What the module takes: missing numbers as NaN, texts as codes with missing ones filled before."""
    tensors = []
    for column in plan.inputs:
        steps = {step.op: step for step in plan.steps if step.column == column.name}
        values = frame[column.name].to_list()
        if column.kind == "numeric":
            tensors.append(torch.tensor([np.nan if v is None else v for v in values], dtype=torch.float64))
        else:
            known = (steps.get("onehot") or steps["ordinal"]).categories or []
            filled = [steps["fill"].value if v is None else v for v in values]
            tensors.append(torch.tensor([known.index(v) if v in known else len(known) for v in filled]))
    return tensors


@pytest.mark.filterwarnings("ignore:overflow encountered")
@given(plans(), st.data())
@settings(max_examples=150, deadline=None)
def test_three_readings_of_a_plan_agree_to_the_bit(plan: Plan, data: st.DataObject) -> None:
    frame = draw_rows(data, plan)
    module = PreparationModule(plan)(*raw_tensors(frame, plan))
    assert module.dtype == torch.float32
    expected = by_the_word(frame, plan)
    assert module.shape == (frame.height, len(plan.features))
    # Adding 0.0 makes -0.0 equal to 0.0: min and max may give either where both are bounds.
    assert (module.numpy() + 0.0).tobytes() == (expected + 0.0).tobytes()
    assert (transform(frame, plan) + 0.0).tobytes() == (expected + 0.0).tobytes()


def test_steps_in_another_order_are_refused() -> None:
    """The module applies fill, clip, scale in this order to all columns at once, and says so if a plan differs."""
    plan = Plan.model_validate(
        {
            "inputs": [{"name": "x", "kind": "numeric"}],
            "steps": [
                {"op": "scale", "column": "x", "offset": 0.0, "factor": 1.0},
                {"op": "clip", "column": "x", "low": 0.0, "high": 1.0},
            ],
            "features": ["x"],
            "target": {"name": "y", "task": "regression"},
        }
    )
    with pytest.raises(ValueError, match="step clip after scale"):
        PreparationModule(plan)
