"""How good the network is on a split, over all ranks."""

from collections.abc import Sequence
from typing import Any, Literal

import torch

from trainyard_api.documents import Plan
from trainyard_api.recipe import Train
from trainyard_launcher.runtime import Heartbeat
from trainyard_trainer.data import SplitReader
from trainyard_trainer.evaluate import Evaluator
from trainyard_trainer.models import Network
from trainyard_trainer.train.step import autocast, to_device


class Judge:
    """Runs the network over a split, in its evaluation mode, and puts the answers of all ranks together."""

    def __init__(self, network: Network, plan: Plan, settings: Train, device: torch.device, heart: Heartbeat) -> None:
        self._network = network
        self._target = plan.target
        self._settings = settings
        self._device = device
        self._heart = heart

    @torch.no_grad()
    def __call__(
        self, reader: SplitReader, step: int, metrics: Literal["auto"] | Sequence[str] = "auto"
    ) -> dict[str, Any]:
        """What Evaluator.compute says of every sample of `reader`'s split. Every rank must call it.

        Not inference mode: its tensors would refuse to take part in later training.
        """
        target = self._target
        evaluator = Evaluator(target.task, target.classes, self._device, metrics=metrics, target=target)
        self._network.eval()
        for batch in reader.epoch(0):
            features, labels, weight = to_device(batch, self._device)
            with autocast(self._settings, self._device):
                logits = self._network(features)
            evaluator.update(logits.float(), labels, weight)
            self._heart.beat(step)
        return evaluator.compute()
