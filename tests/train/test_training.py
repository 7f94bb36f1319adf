"""The training stage as a whole: what it leaves, what doesn't depend on the number of ranks, and how it fails."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.training import TrainingRun, table
from trainyard_launcher.runtime import read_progress
from trainyard_storage import digest
from trainyard_trainer.data import SplitReader
from trainyard_trainer.train.build import prepared_data

PLAIN: dict[str, Any] = {
    "model": {"hidden": [16]},
    "train": {"epochs": 5, "batchSize": 13, "optimizer": {"type": "adam", "learningRate": 0.02}},
}


def new_run(folder: Path, data: tuple[np.ndarray, np.ndarray] | None = None, **changes: Any) -> TrainingRun:
    folder.mkdir(parents=True, exist_ok=True)
    settings = {key: PLAIN.get(key, {}) | changes.pop(key, {}) for key in ("model", "train")}
    how = changes.pop("how", {})
    return TrainingRun(folder, **settings, **changes).prepare(*(data or table()), **how)


def losses(run: TrainingRun) -> np.ndarray:
    return np.array([(row["train/loss"], row["validation/loss"]) for row in run.history()])


def test_what_it_leaves(tmp_path: Path) -> None:
    run = new_run(tmp_path).run(2)
    history, evaluation = run.history(), run.store.get_json("evaluation.json")
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5]
    assert history[-1]["validation/accuracy"] > 0.8
    assert losses(run)[-1, 0] < losses(run)[0, 0] / 2
    assert evaluation["split"] == "test"
    assert evaluation["rows"] == 40 == np.sum(evaluation["confusionMatrix"])
    assert evaluation["overfitting"]["sentence"]
    marker = run.store.get_json("trained/TRAINED.json")
    assert marker["weightsDigest"] == digest(run.store.get("trained/weights.safetensors"))
    assert {"step": 50, "epoch": 5, "bestEpoch": 5, "stoppedEarly": False, "world": 2}.items() <= marker.items()
    progress = read_progress(run.runtime)
    assert progress
    assert (progress.epoch, progress.step, progress.steps, progress.seconds_left) == (4, 50, 50, 0)


def test_the_loss_does_not_depend_on_the_number_of_ranks(tmp_path: Path) -> None:
    """Batches of 13 over 2 ranks, the last one of an epoch padded; accumulation and clipping included."""
    alone = new_run(tmp_path / "alone").run(1)
    for name, changes in {"plain": {}, "parts": {"accumulationSteps": 3, "gradientClipNorm": 100.0}}.items():
        pair = new_run(tmp_path / name, train=changes).run(2)
        np.testing.assert_allclose(losses(pair), losses(alone), rtol=1e-4)
        for key, weights in alone.weights().items():
            np.testing.assert_allclose(pair.weights()[key], weights, rtol=1e-2, atol=1e-3)


def test_images_and_regression(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, 200)
    pixels = (draw.integers(0, 5, (200, 8, 8)) + 10 * labels[:, None, None]).astype(np.uint8)
    pictures = new_run(tmp_path / "images", (pixels, labels), model={"type": "cnn", "channels": [4], "batchNorm": True})
    assert pictures.run(2).history()[-1]["validation/accuracy"] == 1.0
    features, _ = table()
    target = (features @ np.linspace(-1, 1, features.shape[1])).astype(np.float32)
    line = new_run(tmp_path / "line", (features, target / target.std()), train={"epochs": 20}).run()
    assert line.history()[-1]["validation/r2"] > 0.9
    assert line.store.get_json("evaluation.json")["metrics"]["r2"] > 0.9


def test_early_stopping_trains_no_further_and_takes_the_best(tmp_path: Path) -> None:
    """Labels are noise, so validation is soon at its best."""
    features, labels = table(120)
    noise = np.random.default_rng(0).permutation(labels)
    stopping = {"metric": "validation/loss", "patience": 2}
    run = new_run(tmp_path, (features, noise), train={"epochs": 60, "earlyStopping": stopping}).run()
    values = [row["validation/loss"] for row in run.history()]
    marker = run.store.get_json("trained/TRAINED.json")
    assert marker["stoppedEarly"]
    assert len(values) == marker["epoch"] == marker["bestEpoch"] + 2 < 60
    assert values[marker["bestEpoch"] - 1] == min(values)


def test_bf16(tmp_path: Path) -> None:
    run = new_run(tmp_path, train={"precision": "bf16"}).run(2)
    assert run.history()[-1]["validation/accuracy"] > 0.8
    assert all(weights.dtype == np.float32 for weights in run.weights().values())


def test_no_validation_no_test(tmp_path: Path) -> None:
    run = new_run(tmp_path, how={"held_back": 0.0}).run()
    assert "validation/loss" not in run.history()[-1]
    assert run.store.get_json("evaluation.json")["split"] == "train"


def test_nan_names_step_and_rate(tmp_path: Path) -> None:
    """One sample is infinite: its step must be named, though ranks look at the losses only now and then."""
    features, labels = table(2000)
    features[1500] = np.inf
    run = new_run(tmp_path, (features, labels), train={"epochs": 3})
    prepared, _ = prepared_data(run.store)
    reader = SplitReader(prepared.data, prepared.manifest, "train", batch_size=13, seed=0)
    (step,) = (b.index + 1 for b in reader.epoch(0) if np.isinf(b.fields["features"][b.weight > 0]).any())
    assert run.start(2).codes() == [2, 2]
    fault = run.faults()[0]
    assert fault.cause == "LossNotFinite"
    assert fault.message == f"The loss turned NaN or infinite at step {step}, at learning rate 0.02."
    assert "learning rate" in fault.remedy
    assert not run.store.get_json("trained/TRAINED.json")


def test_divergence_is_found(tmp_path: Path) -> None:
    diverging = {"epochs": 50, "optimizer": {"type": "sgd", "learningRate": 1e6}}
    run = new_run(tmp_path, (table()[0], table()[0][:, 0].copy()), train=diverging)
    assert run.start().codes() == [2]
    assert run.faults()[0].cause == "LossNotFinite"


OWN = """
from torch import nn

class Own(nn.Module):
    def __init__(self, input_shape, outputs, *, kind="good"):
        super().__init__()
        self.kind, self.calls = kind, 0
        self.layer, self.idle = nn.Linear(input_shape[0], outputs + (kind == "wide")), nn.Linear(3, 3)

    def forward(self, x):
        self.calls += 1
        if self.kind == "raises" and self.calls > 4:
            raise KeyError("no such thing")
        if self.kind == "memory":
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
        return self.layer(x)
"""


def test_own_model_with_an_idle_layer(tmp_path: Path) -> None:
    (tmp_path / "own_model.py").write_text(OWN)
    run = new_run(tmp_path, model={"type": "own_model:Own"}).run(2)
    assert run.history()[-1]["validation/accuracy"] > 0.8


@pytest.mark.parametrize(
    ("kind", "cause", "code", "says"),
    [
        ("wide", "InvalidModel", 2, "own_model:Own gives torch.float32 [13, 4]"),
        ("raises", "UserError", 1, "own_model:Own raised KeyError"),
        ("memory", "OutOfMemory", 1, "batchSize 13"),
    ],
)
def test_own_model_fails(kind: str, cause: str, code: int, says: str, tmp_path: Path) -> None:
    (tmp_path / "own_model.py").write_text(OWN)
    run = new_run(tmp_path, model={"type": "own_model:Own", "args": {"kind": kind}})
    assert run.start().codes() == [code]
    (fault,) = run.faults()
    assert fault.cause == cause
    assert says in fault.message
    if kind == "raises":
        assert "own_model.py" in fault.where


@pytest.mark.parametrize(
    ("data", "train", "says"),
    [
        (table(2), {}, "more than 2 training samples"),
        (table(), {"batchSize": 2}, "more than a batchSize of 2"),
    ],
)
def test_more_ranks_than_samples(data: Any, train: dict[str, Any], says: str, tmp_path: Path) -> None:
    run = new_run(tmp_path, data, train=train, how={"held_back": 0.0})
    assert run.start(3).codes() == [2, 2, 2]
    assert run.faults()[0].cause == "TooManyProcesses"
    assert says in run.faults()[0].message


def test_a_lost_peer_is_not_the_programs_fault(tmp_path: Path) -> None:
    run = new_run(tmp_path, train={"epochs": 100000})
    ranks = run.start(2)
    assert ranks.until(lambda: (read_progress(run.runtime) or 0) != 0)
    ranks.processes[1].kill()
    assert ranks.codes() == [3, -9]
    assert run.faults()[0].cause == "PeerLost"


def test_an_attempt_that_was_overtaken_leaves_the_end_to_the_newer(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    run.store.put_json("attempts/00002", {})
    assert run.start().codes() == [3]
    assert run.faults()[0].cause == "Fenced"
    assert not [info.key for info in run.store.list("trained/")]


def test_data_not_prepared(tmp_path: Path) -> None:
    run = TrainingRun(tmp_path)
    assert run.start().codes() == [2]
    assert run.faults()[0].cause == "NotPrepared"
    assert json.loads(run.faults()[0].model_dump_json())["remedy"]


def test_checkpoints_by_time(tmp_path: Path) -> None:
    run = new_run(tmp_path, train={"epochs": 100000}, checkpoint={"everySeconds": 1, "keep": 1})
    ranks = run.start(2)
    markers = run.folder / "run" / "checkpoints"
    assert ranks.until(lambda: any(markers.glob("step-*/*/COMMITTED")))
    ranks.kill()
