"""How good the network is on a split, over all ranks."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch

from trainyard_api.documents import Plan
from trainyard_api.errors import ExitCode
from trainyard_api.recipe import Train
from trainyard_launcher.runtime import Heartbeat
from trainyard_trainer.data import SplitReader
from trainyard_trainer.evaluate import Evaluator
from trainyard_trainer.models import Network
from trainyard_trainer.train.faults import StoppedError
from trainyard_trainer.train.ranks import Ranks
from trainyard_trainer.train.reporting import StopSignals
from trainyard_trainer.train.step import autocast, to_device
from trainyard_trainer.train.sync import Pace


class StopPoints:
    """The moments of an evaluation, about every 0.3 s, at which ranks ask each other whether one was told to stop."""

    def __init__(self, ranks: Ranks, signals: StopSignals) -> None:
        self._ranks, self._signals = ranks, signals
        self._pace = Pace()
        self._batches = 0
        self._began = time.perf_counter()

    def after_batch(self) -> None:
        """Raises StoppedError, on every rank after the same batch, if any of them was told to stop."""
        self._batches += 1
        if self._batches < self._pace.steps:
            return
        mine = [float(self._signals.terminated), float(self._signals.interrupted), time.perf_counter() - self._began]
        terminated, interrupted, seconds = self._ranks.total(mine)
        if terminated or interrupted:
            raise StoppedError(ExitCode.TERMINATED if terminated else ExitCode.INTERRUPTED)
        self._pace.follow(seconds / self._ranks.world / self._batches)
        self._batches, self._began = 0, time.perf_counter()


class Judge:
    """Runs the network over a split, in its evaluation mode, and puts the answers of all ranks together."""

    def __init__(
        self, network: Network, plan: Plan, settings: Train, ranks: Ranks, heart: Heartbeat, signals: StopSignals
    ) -> None:
        self._network = network
        self._target = plan.target
        self._settings = settings
        self._ranks = ranks
        self._device = ranks.device
        self._heart = heart
        self._signals = signals
        self._compiled = not settings.compile

    @torch.no_grad()
    def __call__(
        self, reader: SplitReader, step: int, metrics: Literal["auto"] | Sequence[str] = "auto"
    ) -> dict[str, Any]:
        """What Evaluator.compute says of every sample of `reader`'s split. Every rank must call it.

        Raises StoppedError if a signal asks for it. Not inference mode: its tensors would refuse to take part in later
        training.
        """
        target = self._target
        evaluator = Evaluator(target.task, target.classes, self._device, metrics=metrics, target=target)
        self._network.eval()
        stops = StopPoints(self._ranks, self._signals)
        for batch in reader.epoch(0):
            features, labels, weight = to_device(batch, self._device)
            with self._compiling(), autocast(self._settings, self._device):
                logits = self._network(features)
            evaluator.update(logits.float(), labels, weight)
            self._heart.beat(step)
            stops.after_batch()
        return evaluator.compute()

    def _compiling(self) -> AbstractContextManager[None]:
        """Rest around the first answer: the network is compiled once more for evaluation, for minutes maybe."""
        if self._compiled:
            return nullcontext()
        self._compiled = True
        return self._heart.resting()
