"""Metrics of a classifier, from counts that add up over ranks."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc, multiclass_confusion_matrix

from trainyard_trainer.evaluate.ranks import together, total

PER_CLASS = ("precision", "recall", "f1")


class Classification:
    """Confusion matrix, sum of log losses, and (for ROC AUC alone) every score."""

    def __init__(self, names: list[str], device: torch.device | str, classes: list[str]) -> None:
        self._names = names
        self._classes = classes
        self._confusion = torch.zeros(len(classes), len(classes), dtype=torch.int64, device=device)
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._scores: list[Tensor] = [torch.empty(0, len(classes), device=device)]
        self._labels: list[Tensor] = [torch.empty(0, dtype=torch.int64, device=device)]

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Take in logits [n, classes] and class indices [n] of real samples."""
        if not len(labels):
            return
        exact = logits.double()
        self._confusion += multiclass_confusion_matrix(
            exact.argmax(dim=1), labels, num_classes=len(self._classes), validate_args=False
        )
        self._loss += F.cross_entropy(exact, labels, reduction="sum")
        if "rocAuc" in self._names:
            self._scores.append(exact.softmax(dim=1).float())
            self._labels.append(labels)

    def compute(self) -> dict[str, Any]:
        """See Evaluator.compute."""
        confusion = total(self._confusion)
        rows = int(confusion.sum())
        loss = float(total(self._loss)) / rows if rows else None
        per_class = self._per_class(confusion) if rows else {}
        areas = self._areas() if rows and "rocAuc" in self._names else []
        result: dict[str, Any] = {
            "rows": rows,
            "loss": loss,
            "metrics": self._flat(confusion, per_class, areas, loss) if rows else {},
        }
        wanted: dict[str, Any] = {key: values for key, values in per_class.items() if key in self._names}
        if areas:
            wanted["rocAuc"] = areas
        counts = confusion.sum(dim=1).tolist()
        result["perClass"] = {
            name: {"rows": counts[k]} | {key: values[k] for key, values in wanted.items()}
            for k, name in enumerate(self._classes)
        }
        if "confusionMatrix" in self._names:
            result["confusionMatrix"] = confusion.tolist()
        return result

    def _flat(
        self, confusion: Tensor, per_class: dict[str, list[float]], areas: list[float | None], loss: float | None
    ) -> dict[str, float]:
        # A class that neither occurs nor is predicted has no share in a macro average (as in torchmetrics).
        seen = ((confusion.sum(dim=0) + confusion.sum(dim=1)) > 0).tolist()
        values: dict[str, float | None] = {"accuracy": float(confusion.trace() / confusion.sum()), "logLoss": loss}
        for key in PER_CLASS:
            values[key] = _mean([value for value, there in zip(per_class[key], seen, strict=True) if there])
        defined = [area for area in areas if area is not None]
        # Of two classes, the second's area says it all (the first's is the same by symmetry).
        values["rocAuc"] = defined[-1] if len(self._classes) == 2 and defined else _mean(defined)
        return {
            name: value for name in self._names if name != "confusionMatrix" and (value := values[name]) is not None
        }

    def _per_class(self, confusion: Tensor) -> dict[str, list[float]]:
        hits = confusion.diagonal().double()
        predicted, true = confusion.sum(dim=0), confusion.sum(dim=1)
        return {
            "precision": (hits / predicted.clamp(min=1)).tolist(),
            "recall": (hits / true.clamp(min=1)).tolist(),
            "f1": (2 * hits / (predicted + true).clamp(min=1)).tolist(),
        }

    def _areas(self) -> list[float | None]:
        """Area under each class's ROC curve against the rest; None where a class has all of the samples or none.

        One class after another, so that only one column of scores is held for the whole split.
        """
        scores, labels = torch.cat(self._scores), together(torch.cat(self._labels))
        areas: list[float | None] = []
        for k in range(len(self._classes)):
            column, is_class = together(scores[:, k]), (labels == k).long()
            one_sided = bool(is_class.min() == is_class.max())
            areas.append(None if one_sided else float(binary_auroc(column.double(), is_class, validate_args=False)))
        return areas


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
