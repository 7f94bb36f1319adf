"""Metrics against scikit-learn, at one, two and three real ranks."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from trainyard_api.documents import Target
from trainyard_api.errors import TrainyardError
from trainyard_trainer.evaluate import Evaluator

RANK = Path(__file__).parent / "evaluate_rank.py"
TARGET = Target(name="y", task="regression", offset=150.0, factor=77.0)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logits and labels: 4 classes of which one never occurs, many ties, and a regression, with an uneven tail."""
    rng = np.random.default_rng(3)
    path = tmp_path_factory.mktemp("answers") / "answers.npz"
    labels = rng.choice([0, 1, 3], size=101)
    logits = rng.normal(size=(101, 4)).round(1) + 1.5 * np.eye(4)[labels]
    logits[:, 2] -= 9
    truth = rng.normal(size=101)
    np.savez(
        path,
        logits=logits.astype(np.float32),
        labels=labels,
        truth=truth.astype(np.float32),
        predictions=(truth + rng.normal(size=101) / 3).astype(np.float32),
    )
    return path


def evaluate_on(world: int, answers: Path, folder: Path) -> list[dict[str, dict[str, object]]]:
    """What each rank says; every rank is a process of its own, and they talk over gloo."""
    ranks = [subprocess.Popen([sys.executable, RANK, str(rank), str(world), folder, answers]) for rank in range(world)]
    assert [rank.wait(timeout=120) for rank in ranks] == [0] * world
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(world)]


def close(a: object, b: object) -> bool:
    return json.dumps(a) == json.dumps(b) or a == pytest.approx(b, rel=1e-12)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_ranks_agree_with_scikit_learn(world: int, answers: Path, tmp_path: Path) -> None:
    data = np.load(answers)
    every = evaluate_on(world, answers, tmp_path)
    assert all(one == every[0] for one in every), "ranks disagree"

    labels = data["labels"]
    scores = torch.from_numpy(data["logits"]).double().softmax(dim=1).numpy()
    predicted = scores.argmax(axis=1)
    found = every[0]["multiclass"]
    metrics = found["metrics"]
    assert found["rows"] == 101
    assert found["confusionMatrix"] == sk.confusion_matrix(labels, predicted, labels=range(4)).tolist()
    areas = [sk.roc_auc_score(labels == k, scores[:, k]) for k in (0, 1, 3)]
    expected = {
        "accuracy": sk.accuracy_score(labels, predicted),
        "precision": sk.precision_score(labels, predicted, average="macro", zero_division=0),
        "recall": sk.recall_score(labels, predicted, average="macro", zero_division=0),
        "f1": sk.f1_score(labels, predicted, average="macro", zero_division=0),
        "logLoss": sk.log_loss(labels, scores, labels=range(4)),
        "rocAuc": np.mean(areas),
    }
    assert metrics == pytest.approx(expected, abs=1e-6)
    assert found["loss"] == metrics["logLoss"]
    per_class = found["perClass"]
    assert [per_class[c]["rows"] for c in "abcd"] == [int((labels == k).sum()) for k in range(4)]
    assert [per_class[c]["rocAuc"] for c in "abd"] == pytest.approx(areas, abs=1e-6)
    assert per_class["c"]["rocAuc"] is None
    assert [per_class[c]["f1"] for c in "abcd"] == pytest.approx(
        sk.f1_score(labels, predicted, average=None, labels=range(4), zero_division=0)
    )

    true, prediction = (data[name].astype(float) * TARGET.factor + TARGET.offset for name in ("truth", "predictions"))
    regression = every[0]["regression"]
    assert regression["metrics"] == pytest.approx(
        {
            "mse": sk.mean_squared_error(true, prediction),
            "mae": sk.mean_absolute_error(true, prediction),
            "r2": sk.r2_score(true, prediction),
        },
        rel=1e-6,
    )
    assert sum(regression["residuals"]["histogram"]["counts"]) == 101
    assert sorted(regression["residuals"]["scatter"]["actual"]) == pytest.approx(sorted(true), rel=1e-6)

    here = evaluate_alone(data)
    assert close(here["multiclass"]["metrics"], metrics)
    assert here["regression"] == regression, "rounds otherwise at another number of ranks"


def evaluate_alone(data: "np.lib.npyio.NpzFile") -> dict[str, dict[str, object]]:
    classes = Evaluator("multiclass", list("abcd"))
    classes.update(torch.from_numpy(data["logits"]), torch.from_numpy(data["labels"]))
    numbers = Evaluator("regression", target=TARGET)
    numbers.update(torch.from_numpy(data["predictions"]), torch.from_numpy(data["truth"]))
    return {"multiclass": classes.compute(), "regression": numbers.compute()}


def test_binary_auc_is_the_second_class() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, size=200)
    logits = rng.normal(size=(200, 2)).astype(np.float32)
    evaluator = Evaluator("binary", ["no", "yes"])
    evaluator.update(torch.from_numpy(logits), torch.from_numpy(labels))
    score = torch.from_numpy(logits).double().softmax(dim=1)[:, 1].numpy()
    assert evaluator.compute()["metrics"]["rocAuc"] == pytest.approx(sk.roc_auc_score(labels, score), abs=1e-6)


def test_what_is_not_defined_is_left_out() -> None:
    evaluator = Evaluator("binary", ["no", "yes"])
    assert evaluator.compute()["metrics"] == {}
    evaluator.update(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    found = evaluator.compute()["metrics"]
    assert "rocAuc" not in found
    assert found["accuracy"] == 1.0
    constant = Evaluator("regression")
    constant.update(torch.tensor([[1.0], [2.0]]), torch.tensor([3.0, 3.0]))
    assert set(constant.compute()["metrics"]) == {"mse", "mae"}


def test_a_subset_of_metrics() -> None:
    evaluator = Evaluator("binary", ["no", "yes"], metrics=["f1", "accuracy"])
    evaluator.update(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]), torch.tensor([1.0, 1.0]))
    found = evaluator.compute()
    assert found["metrics"] == {"f1": 1.0, "accuracy": 1.0}
    assert "confusionMatrix" not in found
    assert found["perClass"]["yes"] == {"rows": 1, "f1": 1.0}


def test_a_metric_of_another_task_is_refused() -> None:
    with pytest.raises(TrainyardError, match="mse, r2: not defined for binary") as caught:
        Evaluator("binary", ["no", "yes"], metrics=["accuracy", "mse", "r2"])
    assert "accuracy, precision" in caught.value.remedy


def test_answers_that_are_not_finite_are_an_error() -> None:
    evaluator = Evaluator("binary", ["no", "yes"])
    evaluator.update(torch.tensor([[float("nan"), 0.0], [0.0, 1.0]]), torch.tensor([0, 1]))
    with pytest.raises(TrainyardError, match="answers to 1 samples are NaN"):
        evaluator.compute()
