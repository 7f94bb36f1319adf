"""What the outside learns of training, and what it asks of it."""

import signal
from pathlib import Path

from trainyard_api.status import Progress
from trainyard_launcher.runtime import StopRequest, write_progress
from trainyard_trainer.metrics import TrainingMetrics
from trainyard_trainer.train.state import Position
from trainyard_trainer.train.step import TrainStep
from trainyard_trainer.train.sync import Notes


class StopSignals:
    """Which signals have come: SIGTERM, and SIGINT (Ctrl-C)."""

    def __init__(self) -> None:
        self._term = StopRequest([signal.SIGTERM])
        self._int = StopRequest([signal.SIGINT])

    @property
    def terminated(self) -> bool:
        """Whether SIGTERM came."""
        return self._term.requested()

    @property
    def interrupted(self) -> bool:
        """Whether SIGINT came."""
        return self._int.requested()


class Reporter:
    """Tells progress (rank 0, in the runtime folder) and metrics at sync points."""

    def __init__(self, runtime: Path, metrics: TrainingMetrics, *, rank: int, epochs: int, steps: int) -> None:
        self.metrics = metrics
        self._runtime = runtime
        self._rank = rank
        self._epochs = epochs
        self._steps = steps

    def report(self, at: Position, notes: Notes, rate: float, step: TrainStep) -> None:
        """Tell how far training is at a sync point."""
        self.metrics.loss = notes.loss
        self.metrics.learning_rate = rate
        self.metrics.bad_samples = notes.bad_samples
        if self._rank != 0:
            return
        self.metrics.gradient_norm = step.norm()
        progress = Progress(
            stage="train",
            epoch=at.epoch,
            epochs=self._epochs,
            step=at.step,
            steps=self._steps,
            samplesPerSecond=notes.samples / max(1e-9, notes.steps * notes.step_seconds),
            loss=notes.loss,
            secondsLeft=round((self._steps - at.step) * at.seconds / at.step),
        )
        with self.metrics.harmless("Progress can't be told"):
            write_progress(self._runtime, progress)
