"""When to stop, and which weights were best."""

from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Any

from torch import Tensor, nn

from trainyard_api.errors import TrainyardError
from trainyard_api.recipe import EarlyStopping

_LESS_IS_BETTER = ("loss", "logLoss", "mse", "mae")


@dataclass
class BestWeights:
    """Follows a validation metric over epochs; keeps a copy of the weights of the best one."""

    settings: EarlyStopping
    best: float | None = None
    epoch: int = 0
    without_improvement: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)

    def update(self, row: dict[str, Any], network: nn.Module) -> bool:
        """Take in an epoch's history row; True if training should stop now.

        Raises TrainyardError if the row has no such metric.
        """
        value = self._value(row)
        sign = 1 if self.settings.metric.partition("/")[2] in _LESS_IS_BETTER else -1
        limit = inf if self.best is None else sign * self.best - self.settings.min_delta
        if isfinite(value) and sign * value < limit:
            self.best, self.epoch, self.without_improvement = value, row["epoch"], 0
            self.weights = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
        else:
            self.without_improvement += 1
        return self.without_improvement >= self.settings.patience

    def _value(self, row: dict[str, Any]) -> float:
        value = row.get(self.settings.metric)
        if isinstance(value, int | float):
            return float(value)
        known = ", ".join(sorted(name for name in row if name.startswith("validation/"))) or "none"
        raise TrainyardError(
            f"There is no metric {self.settings.metric} to stop by; there are: {known}.",
            where="spec.recipe.train.earlyStopping.metric",
            remedy="use one of these; a validation split is needed (spec.recipe.data.split.validation above 0)",
        )

    def state(self) -> dict[str, Any]:
        """Its counters, for a checkpoint; the weights go with the tensors."""
        return {"best": self.best, "epoch": self.epoch, "withoutImprovement": self.without_improvement}

    def load(self, state: dict[str, Any], weights: dict[str, Tensor]) -> None:
        """Take up where `state` left off."""
        self.best, self.epoch = state["best"], state["epoch"]
        self.without_improvement, self.weights = state["withoutImprovement"], dict(weights)
