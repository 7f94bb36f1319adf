"""Metrics of a regression, in the target's own units."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics.functional.regression import mean_absolute_error, mean_squared_error, r2_score

from trainyard_trainer.evaluate.ranks import together

SCATTER = 500
BINS = 30


class Regression:
    """Every pair of prediction and truth (8 bytes a sample): the metrics and the residuals' picture come from them."""

    def __init__(self, names: list[str], device: torch.device | str, offset: float, factor: float) -> None:
        self._names = names
        self._offset, self._factor = offset, factor
        self._pairs: list[Tensor] = [torch.empty(0, 2, device=device)]

    def update(self, predictions: Tensor, labels: Tensor) -> None:
        """Take in predictions [n, 1] and truths [n] of real samples, in training's units."""
        self._pairs.append(torch.stack([predictions[:, 0].float(), labels.float()], dim=1))

    def compute(self) -> dict[str, Any]:
        """See Evaluator.compute."""
        pairs = together(torch.cat(self._pairs)).double().cpu()
        rows = len(pairs)
        if not rows:
            return {"rows": 0, "loss": None, "metrics": {}, "residuals": None}
        # In one order whatever the ranks, so that sums round alike: by truth, then by prediction.
        pairs = pairs[pairs[:, 0].argsort(stable=True)]
        pairs = pairs[pairs[:, 1].argsort(stable=True)]
        predicted, true = pairs[:, 0].contiguous(), pairs[:, 1].contiguous()
        # In training's units, where numbers are near 1 and nothing cancels; R2 is the same in both.
        loss = float(mean_squared_error(predicted, true))
        values = {
            "mse": loss * self._factor**2,
            "mae": float(mean_absolute_error(predicted, true)) * abs(self._factor),
        }
        if rows > 1 and bool(true.min() < true.max()):
            values["r2"] = float(r2_score(predicted, true))
        return {
            "rows": rows,
            "loss": loss,
            "metrics": {name: values[name] for name in self._names if name in values},
            "residuals": self._residuals(self._own_units(predicted), self._own_units(true)),
        }

    def _own_units(self, values: Tensor) -> Tensor:
        return values * self._factor + self._offset

    def _residuals(self, predicted: Tensor, true: Tensor) -> dict[str, Any]:
        """Histogram of prediction minus truth, and at most SCATTER pairs, evenly over the sorted truths."""
        residuals = predicted - true
        low, high = float(residuals.min()), float(residuals.max())
        if low == high:
            low, high = low - 0.5, high + 0.5
        counts, edges = torch.histogram(residuals, bins=BINS, range=(low, high))
        chosen = torch.linspace(0, len(true) - 1, min(SCATTER, len(true))).round().long()
        return {
            "histogram": {"edges": edges.tolist(), "counts": counts.long().tolist()},
            "scatter": {"actual": true[chosen].tolist(), "predicted": predicted[chosen].tolist()},
        }
