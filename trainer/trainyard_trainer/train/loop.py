"""The training loop."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from trainyard_api.errors import ExitCode
from trainyard_api.job import Checkpoint
from trainyard_api.recipe import Train
from trainyard_launcher.runtime import Heartbeat
from trainyard_storage import Store
from trainyard_trainer.checkpoint import Checkpointer
from trainyard_trainer.data import SplitReader
from trainyard_trainer.train.evaluation import Judge
from trainyard_trainer.train.faults import StoppedError, loss_not_finite
from trainyard_trainer.train.history import now, write_history
from trainyard_trainer.train.reporting import Reporter, StopSignals
from trainyard_trainer.train.schedule import LearningRate
from trainyard_trainer.train.state import TrainingState
from trainyard_trainer.train.sync import SyncPoints

DEFAULT_SECONDS = 600  # between two checkpoints, if the manifest says nothing


@dataclass
class Trainer:
    """Trains from wherever `state` is to the last epoch. Every rank runs the same one."""

    settings: Train
    every: Checkpoint
    run_store: Store
    reader: SplitReader
    validation: SplitReader | None
    validation_metrics: list[str]
    state: TrainingState
    rate: LearningRate
    judge: Judge
    checkpointer: Checkpointer
    heart: Heartbeat
    reporter: Reporter
    signals: StopSignals

    def __post_init__(self) -> None:
        self._sync = SyncPoints(self.state.ranks)
        self._last_save = time.monotonic()

    def run(self) -> None:
        """Train. Raises StoppedError behind a checkpoint if a signal asked for it, TrainyardError for a NaN loss."""
        at = self.state.position
        while at.epoch < self.settings.epochs and not at.stopped_early:
            self.train_epoch()
            self.finish_epoch()
        self._wait()

    def train_epoch(self) -> None:
        """The rest of the current epoch, step by step."""
        at, train, metrics = self.state.position, self.state.step, self.reporter.metrics
        self.state.network.train()
        self._sync.restart_clock()
        began = time.perf_counter()
        for batch in self.reader.epoch(at.epoch, at.batch):
            ready = time.perf_counter()
            loss = train(batch, self.rate(at.step))
            at.step, at.batch, at.samples = at.step + 1, batch.index + 1, at.samples + batch.global_weight
            self.heart.beat(at.step)
            time_to_meet = self._sync.add(loss, batch.global_weight)
            if time_to_meet or self._saves_at(at.step) or at.batch == self.reader.batches_per_epoch:
                self._meet()
            ended = time.perf_counter()
            metrics.record_step(at.step, ended - began, ready - began, batch.global_weight)
            began = ended

    def _meet(self) -> None:
        """All that isn't done at every step: look at the losses, tell how it goes, save, stop."""
        at = self.state.position
        notes, losses = self._sync.meet(
            terminated=self.signals.terminated,
            interrupted=self.signals.interrupted,
            checkpoint_due=self._time_to_save(),
            bad_samples=len(self.reader.bad_samples),
        )
        if notes.first_bad is not None:
            bad = at.step - notes.steps + notes.first_bad
            raise loss_not_finite(bad + 1, self.rate(bad))
        for loss in losses:  # one after another, so that the sum doesn't depend on where ranks met
            at.loss_sum += loss
        at.seconds += notes.steps * notes.step_seconds
        at.epoch_seconds += notes.steps * notes.step_seconds
        self.reporter.report(at, notes, self.rate(at.step - 1), self.state.step)
        if at.step == 1:  # the optimiser has its tensors now: the first checkpoint finds its memory ready
            self.checkpointer.reserve(*self.state.capture()[:2])
        stop = notes.terminated or notes.interrupted
        if stop or notes.checkpoint_due or self._saves_at(at.step):
            self._save()
        if stop:
            self._wait()
            raise StoppedError(ExitCode.TERMINATED if notes.terminated else ExitCode.INTERRUPTED)

    def finish_epoch(self) -> None:
        """Judge the network by the validation split, and write the epoch's line of the history."""
        at, ranks, best = self.state.position, self.state.ranks, self.state.best
        (loss,) = ranks.total([at.loss_sum])
        row: dict[str, Any] = {
            "epoch": at.epoch + 1,
            "step": at.step,
            "time": now(),
            "seconds": round(at.epoch_seconds, 3),
            "learningRate": self.rate(at.step - 1),
            "samplesPerSecond": round(at.samples / max(at.epoch_seconds, 1e-9), 1),
            "train/loss": loss / at.samples,
        }
        ranks.share_buffers(self.state.network)
        if self.validation:
            result = self.judged(self.validation, self.validation_metrics)
            row["validation/loss"] = result["loss"]
            row |= {f"validation/{name}": value for name, value in result["metrics"].items()}
        if best:
            at.stopped_early = best.update(row, self.state.network)
        at.history.append(row)
        at.epoch, at.batch, at.loss_sum, at.samples, at.epoch_seconds = at.epoch + 1, 0, 0.0, 0.0, 0.0
        self.reporter.metrics.epoch = at.epoch
        if ranks.rank == 0:
            with self.heart.resting():
                write_history(self.run_store, at.history)

    def judged(self, reader: SplitReader, metrics: Literal["auto"] | Sequence[str]) -> dict[str, Any]:
        """What the judge says of a split; a signal interrupts it, behind a checkpoint from which it is asked again."""
        try:
            return self.judge(reader, self.state.position.step, metrics)
        except StoppedError:
            self._save()
            self._wait()
            raise

    def _saves_at(self, step: int) -> bool:
        return self.every.every_steps is not None and step % self.every.every_steps == 0

    def _time_to_save(self) -> bool:
        """By rank 0's clock; the others follow it."""
        seconds = self.every.every_seconds
        if seconds is None and self.every.every_steps is None:
            seconds = DEFAULT_SECONDS
        return self.state.ranks.rank == 0 and seconds is not None and time.monotonic() - self._last_save >= seconds

    def _save(self) -> None:
        began = time.monotonic()
        captured = self.state.capture()
        with self.heart.resting():  # the one before may still be on its way to a slow storage
            self.checkpointer.save(self.state.position.step, *captured)
        self._last_save = time.monotonic()
        self.reporter.metrics.record_checkpoint(self._last_save - began)

    def _wait(self) -> None:
        with self.heart.resting():
            self.checkpointer.wait()
