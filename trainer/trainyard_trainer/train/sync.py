"""Sync points: the only moments at which ranks compare notes, and the host waits for the device."""

import time
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from trainyard_trainer.train.ranks import Ranks

SECONDS = 0.3  # between two sync points: how late a stop request or a NaN may be noticed
MOST_STEPS = 1024


@dataclass(frozen=True)
class Notes:
    """What all ranks know after a sync point, each the same."""

    loss: float  # mean over the samples since the last one
    steps: int
    samples: float
    step_seconds: float  # mean over steps and ranks
    terminated: bool
    interrupted: bool
    checkpoint_due: bool
    bad_samples: int
    first_bad: int | None  # the first of these steps, from 0, whose loss is not finite


class Pace:
    """How many steps lie between two meetings: as many as take about 0.3 s.

    It follows from the time of a step that the ranks agreed on, so they agree on it too. It at most doubles, because
    the first steps are slower than the rest.
    """

    def __init__(self) -> None:
        self.steps = 1

    def follow(self, step_seconds: float) -> None:
        """Take up the mean time of a step until this meeting."""
        self.steps = max(1, min(2 * self.steps, int(SECONDS / max(step_seconds, 1e-9)), MOST_STEPS))


class SyncPoints:
    """Collects each step's loss on the device, and decides when ranks meet: about every 0.3 s, at the same step."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._pace = Pace()
        self._losses: list[Tensor] = []
        self._samples = 0.0
        self._began = time.perf_counter()

    def add(self, loss: Tensor, samples: float) -> bool:
        """Take in a step: this rank's sum of losses, the global batch's samples. True if it's time to meet."""
        self._losses.append(loss)
        self._samples += samples
        return len(self._losses) >= self._pace.steps

    def restart_clock(self) -> None:
        """Leave the time since the last meeting out: it was spent on something else than steps."""
        self._began = time.perf_counter()

    def meet(
        self, *, terminated: bool, interrupted: bool, checkpoint_due: bool, bad_samples: int
    ) -> tuple[Notes, list[float]]:
        """Compare notes; every rank must call it after the same step. Also this rank's loss of every step since."""
        losses: list[float] = torch.stack(self._losses).tolist()
        seconds = time.perf_counter() - self._began
        mine = [sum(losses), seconds, float(terminated), float(interrupted), float(checkpoint_due), float(bad_samples)]
        loss, seconds, terms, interrupts, due, bad = self._ranks.total(mine)
        steps, samples = len(losses), self._samples
        each = seconds / self._ranks.world / steps
        first_bad = None
        if not isfinite(loss):
            first_bad = self._ranks.smallest(next((i for i, one in enumerate(losses) if not isfinite(one)), steps))
        self._pace.follow(each)
        self._losses, self._samples = [], 0.0
        self.restart_clock()
        notes = Notes(
            loss / max(1.0, samples), steps, samples, each, terms > 0, interrupts > 0, due > 0, int(bad), first_bad
        )
        return notes, losses
