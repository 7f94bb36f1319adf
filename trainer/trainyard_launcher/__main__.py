"""`python -m trainyard_launcher`: launch the job in the file that TRAINYARD_JOB names. The first process of a pod."""

import os
import sys
import tempfile
from pathlib import Path

from trainyard_api.documents import ResolvedJob
from trainyard_api.errors import TrainyardError
from trainyard_launcher.faults import write_termination
from trainyard_launcher.launch import launch
from trainyard_launcher.observer import Observer
from trainyard_launcher.rank import fault_of


class Printer(Observer):
    """Prints what it hears, for a log."""

    def stage(self, stage: str) -> None:
        """A line per stage."""
        self.notice(f"stage {stage}")

    def skipped(self, stage: str) -> None:
        """A line per stage that is done already."""
        self.notice(f"stage {stage} is done already")

    def line(self, rank: int, text: str) -> None:
        """The ranks' own lines."""
        self.notice(f"[rank {rank}] {text}")

    def notice(self, text: str) -> None:
        """One line, at once."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def main() -> int:
    """Launch; the exit code is one of ExitCode."""
    job = ResolvedJob.model_validate_json(Path(os.environ["TRAINYARD_JOB"]).read_bytes())
    try:
        outcome = launch(job, Printer())
    except TrainyardError as error:
        sys.stderr.write(f"{error}\n")
        write_termination(fault_of(error, None), Path(tempfile.gettempdir()))
        return error.code
    if outcome.fault:
        sys.stderr.write(f"{outcome.fault.message}\n")
    return outcome.code


if __name__ == "__main__":
    sys.exit(main())
