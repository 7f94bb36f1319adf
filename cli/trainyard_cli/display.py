"""How a run looks while it goes: a progress bar in a terminal, lines at sensible intervals elsewhere."""

import time
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from trainyard_api import status
from trainyard_api.documents import ResolvedJob
from trainyard_cli.progress import numbers
from trainyard_launcher.observer import Observer

FIRST_INTERVAL = 2.0
LONGEST_INTERVAL = 60.0
_TITLES = {
    "prepare": "Preparing data",
    "train": "Training",
    "script": "Running the program",
    "publish": "Publishing",
    "report": "Writing the report",
}


def plain_console(file: TextIO | None = None) -> Console:
    """A console that prints what it's given: [names] are no markup, :names: no emoji, long lines aren't broken."""
    return Console(file=file, markup=False, emoji=False, highlight=False, soft_wrap=True)


class Display(Observer):
    """Shows stages, progress, notices, and a script's own lines."""

    def __init__(self, console: Console, job: ResolvedJob) -> None:
        self._console = console
        self._job = job
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=28),
            TextColumn("{task.fields[numbers]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task: TaskID | None = None
        self._stage: str | None = None
        self._last: status.Progress | None = None
        self._shown: status.Progress | None = None
        self._interval = FIRST_INTERVAL
        self._next = 0.0

    def __enter__(self) -> "Display":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._end_of_lines()
        self._bar.stop()

    def stage(self, stage: str) -> None:
        """A bar of its own for each stage."""
        self._end_of_lines()
        self._stage = stage
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(_TITLES[stage], total=None, numbers="")
        processes = self._job.processes_per_node
        by = f" on {processes} processes" if stage in ("train", "script") and processes > 1 else ""
        self.notice(f"{_TITLES[stage]}{by}")

    def skipped(self, stage: str) -> None:
        """One line."""
        self.notice(f"{_TITLES[stage]}: done already")

    def progress(self, progress: status.Progress) -> None:
        """The bar is redrawn; without a terminal a line is printed now and then, ever less often."""
        if progress == self._last or progress.stage != "train":
            return
        self._last = progress
        if self._task is not None:
            total = progress.steps or None
            # The bar tells the step already, and would have no room in 80 columns.
            beside = numbers(progress, step=not progress.epochs)
            self._bar.update(self._task, completed=progress.step, total=total, numbers=beside)
        now = time.monotonic()
        if not self._console.is_terminal and now >= self._next:
            self._console.print(numbers(progress))
            self._shown = progress
            self._next = now + self._interval
            self._interval = min(LONGEST_INTERVAL, self._interval * 1.5)

    def line(self, rank: int, text: str) -> None:
        """What a program of one's own prints; our own stages' output stays in the log."""
        if self._stage == "script":
            prefix = f"[{rank}] " if self._job.processes_per_node > 1 else ""
            self._console.print(f"{prefix}{text}")

    def notice(self, text: str) -> None:
        """A line above the bar."""
        self._console.print(text)

    def _end_of_lines(self) -> None:
        """Where training ended, before what comes next, if no line has said so."""
        if self._last and self._last is not self._shown and not self._console.is_terminal:
            self._console.print(numbers(self._last))
            self._shown = self._last
