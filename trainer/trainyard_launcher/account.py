"""What the launcher says of itself: its report while it runs, and the termination message at the end."""

import json
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from trainyard_api.documents import Fault, NodeReport
from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_api.status import ModelStatus, Progress
from trainyard_launcher.observer import Observer
from trainyard_launcher.runtime import read_checkpoint, write_atomically
from trainyard_storage import Store

TERMINATION_BYTES = 4096
REPORT_BYTES = 16 * 1024
_LEAST_TEXT = 16


class Account(Observer):
    """Passes on what it hears to another observer, and keeps the NodeReport. It may be read from any thread."""

    def __init__(self, observer: Observer, restarts: int = 0) -> None:
        self._observer = observer
        self._lock = threading.Lock()
        self._report = NodeReport(restarts=restarts)
        self._runtime: Path | None = None

    def follow(self, runtime: Path) -> None:
        """Tell the checkpoints that the ranks of this runtime folder say they have committed."""
        self._runtime = runtime

    def report(self) -> NodeReport:
        """The report as it is now."""
        checkpoint = read_checkpoint(self._runtime) if self._runtime else None
        with self._lock:
            if checkpoint:
                self._report = self._report.model_copy(update={"checkpoint": checkpoint})
            return self._report

    def stage(self, stage: str) -> None:
        """A stage begins."""
        self._update(stage=stage, waiting="")
        self._observer.stage(stage)

    def skipped(self, stage: str) -> None:
        """A stage is done already."""
        self._observer.skipped(stage)

    def begin(self) -> None:
        """An attempt begins, from the last checkpoint: nothing is known of its own progress yet."""
        self._update(progress=None)

    def progress(self, progress: Progress) -> None:
        """How far the job is."""
        self._update(progress=progress)
        self._observer.progress(progress)

    def line(self, rank: int, text: str) -> None:
        """A rank has written a line."""
        self._observer.line(rank, text)

    def notice(self, text: str) -> None:
        """Something that a person should know."""
        self._observer.notice(text)

    def waiting(self, text: str) -> None:
        """What it waits for; said once to whoever watches."""
        if text and text != self._report.waiting:
            self._observer.notice(f"Waiting for {text}.")
        self._update(waiting=text)

    def heartbeats(self) -> None:
        """The program has sent its first heartbeat."""
        self._update(heartbeats=True)

    def fault(self, fault: Fault | None, restarts: int) -> None:
        """Why an attempt ended; restarts so far."""
        self._update(restarts=restarts, **({"fault": fault} if fault else {}))

    def published(self, store: Store) -> None:
        """Tell the model that the run has published, if it has: what can't be read can't undo that."""
        with suppress(TrainyardError):
            marker, evaluation = store.get_json("PUBLISHED.json"), store.get_json("evaluation.json") or {}
            if not marker:
                return
            numbers = {name: value for name, value in evaluation.get("metrics", {}).items() if value is not None}
            model = ModelStatus(uri=marker["uri"], digest=marker["digest"], metrics=dict(list(numbers.items())[:64]))
            self._update(model=model)

    def close(self, code: int, fault: Fault | None, runtime: Path, *, in_pod: bool) -> None:
        """Leave the termination message: where Kubernetes looks for it, or for a fault in the runtime folder."""
        if fault is None and code in (ExitCode.OK, ExitCode.INTERRUPTED, ExitCode.TERMINATED):
            self._update(fault=None)  # what was overcome isn't why it ended
        else:
            self._update(fault=fault)
        self._update(waiting="")
        text = report_text(self.report(), TERMINATION_BYTES)
        for path in (os.environ.get("TRAINYARD_TERMINATION_LOG"), "/dev/termination-log"):
            if path and (Path(path).exists() or path != "/dev/termination-log"):
                try:
                    Path(path).write_text(text)
                    return
                except OSError:
                    continue
        if fault or in_pod:
            write_atomically(runtime / "termination.json", text)

    def _update(self, **fields: Any) -> None:
        with self._lock:
            self._report = self._report.model_copy(update=fields)


def report_text(report: NodeReport, limit: int) -> str:
    """The report as JSON of at most `limit` bytes.

    The last lines of its fault go first, then its longest texts are cut, then metrics of the model left out, and a
    cause that is no word is cut last.
    """
    document = report.model_dump(mode="json")
    fault, model = document["fault"] or {}, document["model"] or {}
    while len(text := json.dumps(document, ensure_ascii=False).encode()) > limit:
        places = [(fault, key) for key in ("message", "exception", "where", "remedy")] + [(document, "waiting")]
        place, key = max(places, key=lambda place: len(place[0].get(place[1]) or ""))
        if fault.get("lastLines"):
            fault["lastLines"] = fault["lastLines"][1:]
        elif len(place.get(key) or "") > _LEAST_TEXT:
            place[key] = _cut(place[key])
        elif model.get("metrics"):
            model["metrics"].popitem()
        else:
            fault["cause"] = _cut(fault["cause"])
    return text.decode()


def short_fault(fault: Fault) -> Fault:
    """`fault`, cut like a termination message: no longer than that when it's told to another node."""
    short = NodeReport.model_validate_json(report_text(NodeReport(fault=fault), TERMINATION_BYTES)).fault
    return short or fault


def _cut(text: str) -> str:
    return text[: len(text) * 3 // 4]
