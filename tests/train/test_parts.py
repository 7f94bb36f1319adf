"""Optimisers, schedules, loss and step against plain torch; early stopping; the schedule's edges."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from trainyard_api.errors import TrainyardError
from trainyard_api.recipe import EarlyStopping, Optimizer, Schedule, Train
from trainyard_trainer.data import Batch
from trainyard_trainer.train.early_stopping import BestWeights
from trainyard_trainer.train.optimizer import build_optimizer
from trainyard_trainer.train.ranks import Ranks
from trainyard_trainer.train.schedule import learning_rate
from trainyard_trainer.train.step import TrainStep

ALONE = Ranks(0, 1, torch.device("cpu"))
OPTIMIZERS: list[tuple[dict[str, Any], Any]] = [
    ({"type": "sgd", "weightDecay": 0.01}, lambda p: torch.optim.SGD(p, 0.05, weight_decay=0.01)),
    ({"type": "sgd", "momentum": 0.9}, lambda p: torch.optim.SGD(p, 0.05, momentum=0.9)),
    (
        {"type": "sgd", "momentum": 0.9, "nesterov": True},
        lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, nesterov=True),
    ),
    ({"type": "adam", "weightDecay": 0.01}, lambda p: torch.optim.Adam(p, 0.05, weight_decay=0.01)),
    (
        {"type": "adamw", "weightDecay": 0.1, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-6},
        lambda p: torch.optim.AdamW(p, 0.05, (0.8, 0.95), 1e-6, 0.1),
    ),
]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))


def batches(count: int, padding: int = 0) -> list[Batch]:
    draw = np.random.default_rng(0)
    weight = np.array([1] * (12 - padding) + [0] * padding, np.float32)
    return [
        Batch(
            {"features": draw.normal(size=(12, 5)).astype(np.float32), "label": draw.integers(0, 3, 12)},
            weight,
            float(weight.sum()),
            index,
        )
        for index in range(count)
    ]


def trained(batches: list[Batch], **settings: Any) -> nn.Sequential:
    """A network trained by our step at a rate of 0.05."""
    model, train = network(), Train.model_validate(settings)
    step = TrainStep(model, build_optimizer(train.optimizer, model.parameters()), train, "multiclass", ALONE)
    for batch in batches:
        step(batch, 0.05)
    return model


def reference(batches: list[Batch], optimizer: Any, clip: float | None = None) -> nn.Sequential:
    """The same by hand; padding is left out."""
    model = network()
    update = optimizer(model.parameters())
    for batch in batches:
        rows = torch.from_numpy(batch.weight) > 0
        features, labels = (torch.from_numpy(batch.fields[name])[rows] for name in ("features", "label"))
        update.zero_grad()
        nn.functional.cross_entropy(model(features), labels).backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        update.step()
    return model


def assert_close(mine: nn.Module, theirs: nn.Module) -> None:
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("settings", "theirs"), OPTIMIZERS)
@pytest.mark.parametrize("padding", [0, 5])
def test_optimizer(settings: dict[str, Any], theirs: Any, padding: int) -> None:
    data = batches(10, padding)
    assert_close(trained(data, optimizer=settings), reference(data, theirs))


@pytest.mark.parametrize("parts", [2, 5, 12, 50])
@pytest.mark.parametrize("padding", [0, 5])
def test_accumulation_changes_nothing(parts: int, padding: int) -> None:
    data = batches(10, padding)
    assert_close(trained(data, accumulationSteps=parts), trained(data))


def test_clip() -> None:
    data = batches(10)
    ours = trained(data, optimizer={"type": "sgd"}, gradientClipNorm=0.1)
    assert_close(ours, reference(data, lambda p: torch.optim.SGD(p, 0.05), clip=0.1))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_reduced_precision_stays_near(precision: str) -> None:
    data = batches(10)
    for a, b in zip(trained(data, precision=precision).parameters(), trained(data).parameters(), strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a, b, rtol=0.2, atol=0.2)
        assert not torch.equal(a, b)


def rates(schedule: dict[str, Any], steps: int, per_epoch: int) -> list[float]:
    rate = learning_rate(Schedule.model_validate(schedule), 0.1, steps=steps, steps_per_epoch=per_epoch)
    return [rate(step) for step in range(steps)]


def torch_rates(make: Any, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1)
    scheduler, found = make(optimizer), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_constant_and_step() -> None:
    assert rates({"type": "constant"}, 5, 5) == [0.1] * 5
    ours = rates({"type": "step", "stepEpochs": 2, "gamma": 0.5}, 40, 5)
    assert ours == pytest.approx(torch_rates(lambda o: torch.optim.lr_scheduler.StepLR(o, 10, 0.5), 40))


def test_cosine() -> None:
    ours = rates({"type": "cosine", "minLearningRate": 0.01}, 30, 5)
    theirs = torch_rates(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 30, 0.01), 30)
    assert ours == pytest.approx(theirs)


def test_warm_up_then_cosine() -> None:
    def theirs(optimizer: Any) -> Any:
        warm = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / 8, 1.0, 7)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 32)
        return torch.optim.lr_scheduler.SequentialLR(optimizer, [warm, cosine], [8])

    assert rates({"type": "cosine", "warmupSteps": 8}, 40, 5) == pytest.approx(torch_rates(theirs, 40))


@given(
    kind=st.sampled_from(["constant", "step", "cosine"]),
    warmup=st.integers(0, 100),
    steps=st.integers(1, 100),
    per_epoch=st.integers(1, 20),
)
def test_rates_stay_between_zero_and_the_peak(kind: str, warmup: int, steps: int, per_epoch: int) -> None:
    found = rates({"type": kind, "warmupSteps": warmup}, steps, per_epoch)
    assert all(0 < rate <= 0.1 * (1 + 1e-12) or (kind == "cosine" and rate >= 0) for rate in found)
    assert all(math.isfinite(rate) for rate in found)


def follow(values: list[float], **settings: Any) -> tuple[BestWeights, nn.Linear]:
    """Show `values` epoch by epoch, until it says stop; the weights are the epoch's number."""
    model = nn.Linear(1, 1)
    best = BestWeights(EarlyStopping.model_validate(settings))
    for epoch, value in enumerate(values, start=1):
        nn.init.constant_(model.weight, epoch)
        if best.update({"epoch": epoch, best.settings.metric: value}, model):
            break
    return best, model


def test_early_stopping_keeps_the_best() -> None:
    best, model = follow([3, 2, 1, 1.5, 1.2, 1.1, 0.5], patience=3)
    assert (best.epoch, best.best, model.weight.item()) == (3, 1, 6)
    assert best.weights["weight"].item() == 3


def test_early_stopping_directions_and_delta() -> None:
    assert follow([0.5, 0.6, 0.55, 0.7], metric="validation/accuracy", patience=2)[0].epoch == 4
    assert follow([1.0, 0.95, 0.91, 0.89], minDelta=0.1, patience=9)[0].epoch == 4
    assert follow([1.0, math.nan, 0.9], patience=9)[0].epoch == 3


def test_early_stopping_by_an_unknown_metric() -> None:
    best = BestWeights(EarlyStopping.model_validate({"metric": "validation/f1"}))
    with pytest.raises(TrainyardError, match="there are: validation/accuracy, validation/loss"):
        best.update({"epoch": 1, "validation/loss": 1.0, "validation/accuracy": 0.5}, nn.Linear(1, 1))


def test_optimizer_defaults_are_torchs() -> None:
    ours = Optimizer()
    theirs = torch.optim.AdamW([nn.Parameter(torch.zeros(1))]).defaults
    assert (ours.beta1, ours.beta2, ours.epsilon) == (*theirs["betas"], theirs["eps"])
