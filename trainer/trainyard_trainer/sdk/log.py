"""What a program says of itself: history.jsonl, metrics, and progress."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

from trainyard_api.status import Progress
from trainyard_launcher.runtime import write_progress
from trainyard_storage import NotFound, Store
from trainyard_trainer.metrics import TrainingMetrics

KEY = "history.jsonl"
_SECONDS = 5.0  # between two writes of the history, at least
_SHARE = 20  # of the time goes into writing it: one part in so many
_MOST_ROWS = 10_000  # more than a curve can show
_PROGRESS_SECONDS = 0.2


class Log:
    """Rank 0's log. The history is written anew each time, so that a reader never sees half a line of it.

    Training neither waits for it nor fails by it: a thread writes it, and what goes wrong is counted and said once.
    From 10,000 rows on, every other one of those that tell the same metrics is left out.
    """

    def __init__(self, run: Store, runtime: Path, metrics: TrainingMetrics, rank: int) -> None:
        self._run = run
        self._runtime = runtime
        self._metrics = metrics
        self._rank = rank
        self._rows: list[dict[str, Any]] = []
        self._added = self._saved = 0  # calls of `write`, and as many of them as are in storage
        self._writer: Thread | None = None
        self._told = self._began = time.monotonic()
        self._next = self._began + _SECONDS
        self._first_step: int | None = None
        self._samples = 0

    def rewind(self, step: int) -> None:
        """Go on after `step`: what an earlier attempt wrote up to there stays."""
        if self._rank != 0:
            return
        with self._metrics.harmless("The history so far can't be read"):
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
        self._added += 1
        if len(self._rows) > _MOST_ROWS:
            self._rows = thinned(self._rows)
        now = time.monotonic()
        if self._first_step is None:
            self._first_step, self._began = step, now
        elif now - self._told >= _PROGRESS_SECONDS or step == steps:
            with self._metrics.harmless("Progress can't be told"):
                self._tell(step, epoch or 0, steps, epochs, metrics.get("loss"), now)
        if now >= self._next and not (self._writer and self._writer.is_alive()):
            self._writer = Thread(target=self._save, name="history", daemon=True)
            self._writer.start()

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

    def _save(self) -> None:
        began = time.monotonic()
        added, rows = self._added, list(self._rows)
        with self._metrics.harmless("The history can't be written"):
            self._run.put(KEY, "".join(f"{json.dumps(row)}\n" for row in rows).encode())
            self._saved = added
        now = time.monotonic()
        self._next = now + max(_SECONDS, _SHARE * (now - began))

    def close(self) -> None:
        """Write the history, if there is anything new in it. Returns when that is done, or has failed."""
        if self._writer:
            self._writer.join()
        if self._added != self._saved:
            self._save()


def thinned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`rows` without every other one of each common kind; a kind is told by the names of its metrics."""
    kinds: dict[tuple[str, ...], list[int]] = {}
    for index, row in enumerate(rows):
        kinds.setdefault(tuple(row), []).append(index)
    common = len(rows) / (2 * len(kinds))
    dropped = {index for same in kinds.values() if len(same) > common for index in same[-2::-2]}
    return [row for index, row in enumerate(rows) if index not in dropped]
