"""`python -m trainyard_launcher`: launch the job in the file that TRAINYARD_JOB names. The first process of a pod."""

import os
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

from pydantic import ValidationError

from trainyard_api.documents import ResolvedJob
from trainyard_api.errors import TrainyardError
from trainyard_launcher.account import Account
from trainyard_launcher.first import as_first_process
from trainyard_launcher.launch import launch
from trainyard_launcher.node import this_node
from trainyard_launcher.observer import Observer
from trainyard_launcher.rank import fault_of
from trainyard_launcher.report import reporting


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


def _job() -> ResolvedJob:
    path = os.environ.get("TRAINYARD_JOB", "")
    try:
        return ResolvedJob.model_validate_json(Path(path).read_bytes())
    except (OSError, ValidationError) as error:
        what = f"The job can't be read: {str(error).splitlines()[0]}"
        remedy = "TRAINYARD_JOB names its file; launcher and operator have to be of the same version."
        raise TrainyardError(what, path, remedy, cause="JobUnreadable") from error


def main() -> int:
    """Launch; the exit code is one of ExitCode."""
    node = this_node()
    account = Account(Printer(), node.restarts if node else 0)
    with reporting(account, node) if node else nullcontext():
        try:
            outcome = launch(_job(), account, node)
        except TrainyardError as error:
            sys.stderr.write(f"{error}\n")
            account.close(error.code, fault_of(error, None), Path(tempfile.gettempdir()), in_pod=node is not None)
            return error.code
    if outcome.fault:
        sys.stderr.write(f"{outcome.fault.message}\n")
    return outcome.code


if __name__ == "__main__":
    sys.exit(as_first_process(main) if os.getpid() == 1 else main())
