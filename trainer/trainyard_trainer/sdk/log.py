"""What a program says of itself: history.jsonl, metrics, and progress."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainyard_api.status import Progress
from trainyard_launcher.runtime import write_progress
from trainyard_storage import NotFound, Store
from trainyard_trainer.metrics import TrainingMetrics

KEY = "history.jsonl"
_SECONDS = 5.0  # between two writes of the history
_PROGRESS_SECONDS = 0.2


class Log:
    """Rank 0's log. The history is written anew each time, so that a reader never sees half a line of it."""

    def __init__(self, run: Store, runtime: Path, metrics: TrainingMetrics, rank: int) -> None:
        self._run = run
        self._runtime = runtime
        self._metrics = metrics
        self._rank = rank
        self._rows: list[dict[str, Any]] = []
        self._unwritten = False
        self._written = self._told = self._began = time.monotonic()
        self._first_step: int | None = None
        self._samples = 0

    def rewind(self, step: int) -> None:
        """Go on after `step`: what an earlier attempt wrote up to there stays."""
        if self._rank != 0:
            return
        try:
            rows = [json.loads(line) for line in self._run.get(KEY).splitlines()]
        except NotFound:
            return
        self._rows = [row for row in rows if row["step"] <= step]

    def count(self, samples: int) -> None:
        """Samples of one more step."""
        self._samples += samples

    def write(self, step: int, epoch: int | None, steps: int, epochs: int, metrics: dict[str, float]) -> None:
        """Take in the metrics of one step."""
        self._metrics.step = step
        self._metrics.epoch = epoch or 0
        self._metrics.loss = metrics.get("loss", self._metrics.loss)
        self._metrics.record({name: value for name, value in metrics.items() if name != "loss"})
        if self._rank != 0:
            return
        row = {"step": step, "epoch": epoch, "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), **metrics}
        self._rows.append({key: value for key, value in row.items() if value is not None})
        self._unwritten = True
        now = time.monotonic()
        if self._first_step is None:
            self._first_step, self._began = step, now
        elif now - self._told >= _PROGRESS_SECONDS:
            self._tell(step, epoch or 0, steps, epochs, metrics.get("loss"), now)
        if now - self._written >= _SECONDS:
            self.close()

    def _tell(self, step: int, epoch: int, steps: int, epochs: int, loss: float | None, now: float) -> None:
        self._told = now
        elapsed = now - self._began
        done = step - (self._first_step or 0)
        progress = Progress(
            stage="train",
            epoch=epoch,
            epochs=epochs,
            step=step,
            steps=steps,
            loss=loss if loss is not None and abs(loss) != float("inf") and loss == loss else None,
            samplesPerSecond=self._samples / elapsed if elapsed else 0.0,
            secondsLeft=round((steps - step) * elapsed / done) if steps >= step and done else None,
        )
        write_progress(self._runtime, progress)

    def close(self) -> None:
        """Write the history, if there is anything new in it."""
        if self._unwritten:
            self._run.put(KEY, "".join(f"{json.dumps(row)}\n" for row in self._rows).encode())
            self._unwritten = False
            self._written = time.monotonic()
