"""Fitted statistics: that the steps do what their names say, on the values they were fitted on."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from trainyard_api.documents import Plan, PlanInput, Target
from trainyard_api.recipe import Missing, Outliers, Prepare
from trainyard_trainer.prepare.features import feature_names, transform
from trainyard_trainer.prepare.fit import Fitted, fit_categorical, fit_numeric, rounded
from trainyard_trainer.prepare.task import decide_task

numbers = st.lists(
    st.one_of(st.none(), st.integers(-(10**9), 10**9).map(lambda value: value / 1024)), min_size=3, max_size=60
).filter(lambda values: len({value for value in values if value is not None}) > 1)


def applied(column: pl.Series, fitted: Fitted, kind: str) -> np.ndarray:  # type: ignore[type-arg]
    inputs = [PlanInput(name=column.name, kind=kind, dtype="float64" if kind == "numeric" else "str")]  # type: ignore[arg-type]
    plan = Plan(
        inputs=inputs,
        steps=fitted.steps,
        features=feature_names(inputs, fitted.steps),
        target=Target(name="y", task="regression"),
    )
    return transform(column.to_frame(), plan)


@given(numbers, st.sampled_from(["standard", "minmax", "symmetric", "robust"]))
def test_scales_agree_with_scikit_learn(values: list[float | None], scale: str) -> None:
    column = pl.Series("x", values, dtype=pl.Float64)
    fitted = fit_numeric(column, column.null_count() > 0, Prepare(scale=scale))  # type: ignore[arg-type]
    filled = column.fill_null(column.median()).to_numpy()
    theirs = {
        "standard": StandardScaler(),
        "minmax": MinMaxScaler(),
        "symmetric": MinMaxScaler((-1, 1)),
        "robust": RobustScaler(),
    }[scale].fit_transform(filled[:, None])
    ours = applied(column, fitted, "numeric")
    # Statistics are rounded to 9 digits: what that leaves of a feature depends on the spread of the values.
    rounding = 1e-8 * np.abs(filled).max() / float(fitted.steps[-1].factor)  # type: ignore[arg-type]
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 + rounding * max(1, np.abs(theirs).max()))


@given(numbers, st.sampled_from(["iqr", "zscore"]))
def test_mean_and_deviation_are_fitted_after_clipping(values: list[float | None], method: str) -> None:
    column = pl.Series("x", [*values, 1e9], dtype=pl.Float64)
    prepare = Prepare(outliers=Outliers(method=method, factor=0.5))  # type: ignore[arg-type]
    fitted = fit_numeric(column, column.null_count() > 0, prepare)
    clip = next(step for step in fitted.steps if step.op == "clip")
    scale = next(step for step in fitted.steps if step.op == "scale")
    fill = next((float(step.value or 0) for step in fitted.steps if step.op == "fill"), 0.0)
    clipped = column.fill_null(fill).to_numpy().clip(clip.low, clip.high)
    assert scale.offset == pytest.approx(clipped.mean(), rel=1e-8, abs=1e-8)
    assert scale.factor == pytest.approx(clipped.std() if np.ptp(clipped) else 1.0, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("policy", "value"), [("mean", 2.2), ("median", 2.0), ("mode", 1.0), ("constant", -5.0)])
def test_missing_numbers_are_filled(policy: str, value: float) -> None:
    column = pl.Series("x", [1.0, 1.0, 2.0, 3.0, 4.0, None])
    missing = Missing(numeric=policy, numericConstant=-5.0)  # type: ignore[arg-type]
    fitted = fit_numeric(column, True, Prepare(missing=missing, scale="none"))
    assert applied(column, fitted, "numeric")[-1, 0] == np.float32(value)


def test_categories_are_the_most_frequent_and_the_rest_unknown() -> None:
    column = pl.Series("c", ["b", "a", "c", "a", "b", "d", "a", None, "x", "b"])
    fitted = fit_categorical(column, True, Prepare(maxCategories=3))
    assert fitted.steps[-1].categories == ["a", "b", "c"]
    encoded = applied(pl.Series("c", ["b", "d", None, "never"]), fitted, "categorical")
    assert encoded.argmax(axis=1).tolist() == [1, 3, 3, 3]
    assert (encoded.sum(axis=1) == 1).all()


def test_ordinal_codes_lie_between_0_and_1() -> None:
    column = pl.Series("c", ["b", "a", "a", "c"])
    fitted = fit_categorical(column, False, Prepare(categories="ordinal"))
    encoded = applied(pl.Series("c", ["a", "b", "c", "never"]), fitted, "categorical")
    np.testing.assert_allclose(encoded[:, 0], [0, 1 / 3, 2 / 3, 1])


@pytest.mark.parametrize(
    ("column", "why"),
    [
        (pl.Series("c", [f"name {i}" for i in range(50)]), "names or ids"),
        (pl.Series("c", ["same"] * 5), "the same"),
        (pl.Series("c", [None] * 5, dtype=pl.String), "no value"),
    ],
)
def test_useless_texts_are_left_out(column: pl.Series, why: str) -> None:
    fitted = fit_categorical(column, False, Prepare())
    assert not fitted.steps
    assert why in fitted.left_out


def test_constant_numbers_are_left_out() -> None:
    assert "the same" in fit_numeric(pl.Series("x", [3.0, 3.0, None]), True, Prepare()).left_out


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_rounded_to_nine_digits(value: float) -> None:
    assert rounded(value) == pytest.approx(value, rel=1e-8)
    assert rounded(rounded(value)) == rounded(value)
    assert str(rounded(-0.0)) == "0.0"


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["a", "b", None], "binary"),
        (["a", "b", "c"], "multiclass"),
        ([True, False], "binary"),
        ([0, 1, 1], "binary"),
        ([1, 2, 3], "multiclass"),
        (list(range(30)), "regression"),
        ([0.5, 1.5], "regression"),
    ],
)
def test_task_is_decided_by_the_target(values: list[object], task: str) -> None:
    assert decide_task(pl.Series(values)) == task
