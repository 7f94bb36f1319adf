"""Curves drawn by hand, and what must hold for every curve."""

import math
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trainyard_trainer.evaluate import overfitting

EPOCHS = 30


def curve(train: list[float], validation: list[float]) -> list[dict[str, float]]:
    return [
        {"epoch": i, "train/loss": t, "validation/loss": v}
        for i, (t, v) in enumerate(zip(train, validation, strict=True), start=1)
    ]


def falling(floor: float = 0.0, speed: float = 0.2, count: int = EPOCHS) -> list[float]:
    return [floor + math.exp(-speed * i) for i in range(count)]


def parting(turn: int, slope: float = 0.03, count: int = EPOCHS) -> list[float]:
    return [0.2 + math.exp(-0.2 * min(i, turn)) + slope * max(0, i - turn) for i in range(count)]


def noisy(values: list[float], deviation: float, seed: int) -> list[float]:
    noise = random.Random(seed)
    return [value + noise.gauss(0, deviation) for value in values]


def test_overfit() -> None:
    found = overfitting(curve(falling(), parting(turn=10)))
    assert found["verdict"] == "overfit"
    assert found["epoch"] == 11
    assert found["bestEpoch"] == 11
    assert "Overfitted from epoch 11 on: until epoch 30 the training loss fell from" in found["sentence"]
    assert "rose from 0.3353 to 0.905" in found["sentence"]


def test_underfit() -> None:
    line = [1 - i / 60 for i in range(EPOCHS)]
    found = overfitting(curve(line, [value + 0.05 for value in line]))
    assert found["verdict"] == "underfit"
    assert "more epochs may help" in found["sentence"]


def test_fine() -> None:
    found = overfitting(curve(falling(0.1, 0.4), falling(0.15, 0.4)))
    assert found["verdict"] == "fine"
    assert found["epoch"] is None


def test_flat() -> None:
    assert overfitting(curve([0.7] * EPOCHS, [0.7] * EPOCHS))["verdict"] == "flat"


def test_a_plateau_after_which_both_rise_is_no_overfitting() -> None:
    """The training loss must go on falling: a run that goes to pieces is something else."""
    train = falling(0.1)[:15] + [0.2 + 0.05 * i for i in range(15)]
    assert overfitting(curve(train, [value + 0.1 for value in train]))["verdict"] != "overfit"


@pytest.mark.parametrize(("epochs", "why"), [(1, "too few"), (5, "too few")])
def test_too_short(epochs: int, why: str) -> None:
    found = overfitting(curve(falling(count=epochs), parting(2, count=epochs)))
    assert found["verdict"] == "unknown"
    assert why in found["sentence"]


def test_without_validation() -> None:
    found = overfitting([{"epoch": i, "train/loss": 1.0} for i in range(20)])
    assert found["verdict"] == "unknown"
    assert "no validation split" in found["sentence"]
    assert overfitting([])["verdict"] == "unknown"


def test_one_spike_is_no_overfitting() -> None:
    validation = falling(0.15, 0.4)
    validation[-1] += 0.5
    assert overfitting(curve(falling(0.1, 0.4), validation))["verdict"] != "overfit"


@given(turn=st.integers(3, 18), seed=st.integers(0, 999))
def test_noise_neither_hides_nor_moves_the_parting(turn: int, seed: int) -> None:
    found = overfitting(curve(falling(), noisy(parting(turn, slope=0.05), 0.01, seed)))
    assert found["verdict"] == "overfit"
    # The smoothed minimum lies where the falling side is as high as the noise above the turn, at the earliest.
    assert -4 <= found["epoch"] - (turn + 1) <= 2


@given(seed=st.integers(0, 999), speed=st.floats(0.2, 1.0), deviation=st.floats(0, 0.01))
@example(seed=232, speed=0.25, deviation=0.009765625)
def test_noise_alone_is_no_overfitting(seed: int, speed: float, deviation: float) -> None:
    history = curve(falling(0.1, speed), noisy(falling(0.15, speed), deviation, seed))
    assert overfitting(history)["verdict"] != "overfit"


@given(
    losses=st.lists(st.tuples(st.floats(0.001, 10), st.floats(0.001, 10)), min_size=0, max_size=40),
    exponent=st.integers(-8, 8),
)
def test_the_unit_of_the_loss_does_not_matter(losses: list[tuple[float, float]], exponent: int) -> None:
    """A power of two, so that nothing is rounded; and any curve at all gets an answer."""
    history = curve([t for t, _ in losses], [v for _, v in losses])
    scaled = curve([t * 2.0**exponent for t, _ in losses], [v * 2.0**exponent for _, v in losses])
    one, other = overfitting(history), overfitting(scaled)
    assert (one["verdict"], one["epoch"]) == (other["verdict"], other["epoch"])
    if one["verdict"] == "overfit":
        assert one["rise"] > 0


@given(st.lists(st.floats(0.001, 1), min_size=6, max_size=40))
def test_a_validation_loss_that_never_rises_is_never_overfit(falls: list[float]) -> None:
    losses = [sum(falls[i:]) for i in range(len(falls))]
    assert overfitting(curve(losses, losses))["verdict"] != "overfit"
