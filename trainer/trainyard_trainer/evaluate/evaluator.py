"""Metrics over a split of which every rank sees a part."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from trainyard_api.documents import Target, Task
from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_trainer.evaluate.classification import Classification
from trainyard_trainer.evaluate.names import metrics_for
from trainyard_trainer.evaluate.ranks import total
from trainyard_trainer.evaluate.regression import Regression


class Evaluator:
    """Collects what a model answers, batch by batch, and says how good it is.

    Padding (weight 0) is left out, so every sample counts once and the result doesn't depend on how many ranks there
    are: counts and sums are added over ranks, and for ROC AUC and regression the answers themselves are gathered
    (per rank: 4 bytes per sample and class of its part, plus 4 bytes per sample of the split; 8 per sample of the
    split for regression).

    :param task: binary, multiclass or regression
    :param classes: names of the classes, by index; empty for regression
    :param device: where the answers are; what is collected stays there
    :param metrics: names of recipe.evaluate.metrics, or auto for all that fit the task
    :param target: its offset and factor bring regression back to the target's own units
    :raises TrainyardError: a metric that doesn't fit the task
    """

    def __init__(
        self,
        task: Task,
        classes: Sequence[str] = (),
        device: torch.device | str = "cpu",
        *,
        metrics: Literal["auto"] | Sequence[str] = "auto",
        target: Target | None = None,
    ) -> None:
        names = metrics_for(task, metrics)
        self._outputs = 1 if task == "regression" else len(classes)
        self._state: Classification | Regression
        if task == "regression":
            offset, factor = (target.offset, target.factor) if target else (0.0, 1.0)
            self._state = Regression(names, device, offset, factor)
        else:
            self._state = Classification(names, device, list(classes))
        self._not_finite = torch.zeros((), dtype=torch.int64, device=device)

    def update(self, outputs: Tensor, labels: Tensor, weight: Tensor | None = None) -> None:
        """Take in one batch.

        :param outputs: logits [n, classes], or [n, 1] (or [n]) for regression, in training's units
        :param labels: class indices [n], or [n] for regression, in training's units
        :param weight: [n]; rows of weight 0 are padding; absent: all count
        """
        outputs = outputs.detach().reshape(-1, self._outputs)
        labels = labels.reshape(-1)
        if weight is not None:
            real = weight.reshape(-1) > 0
            outputs, labels = outputs[real], labels[real]
        self._not_finite += (~outputs.isfinite()).any(dim=1).sum()
        self._state.update(outputs, labels)

    def compute(self) -> dict[str, Any]:
        """The evaluation, the same on every rank (each must call it).

        rows; loss (mean of the training loss); metrics: flat floats by name, without those that aren't defined here
        (ROC AUC with one class only, R2 of a constant); for classification perClass (name -> precision, recall, f1,
        rocAuc, rows) and confusionMatrix (rows: true, columns: predicted); for regression residuals.

        :raises TrainyardError: some outputs are NaN or infinite
        """
        bad = int(total(self._not_finite))
        if bad:
            raise TrainyardError(
                f"The model's answers to {bad} samples are NaN or infinite.",
                remedy="Lower recipe.train.optimizer.learningRate, or set recipe.train.gradientClipNorm.",
                code=ExitCode.INVALID,
                cause="OutputNotFinite",
            )
        return self._state.compute()
