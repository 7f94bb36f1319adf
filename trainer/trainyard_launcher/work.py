"""What stays the same over all attempts of a launch."""

import os
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from trainyard_api.documents import Fault, ResolvedJob
from trainyard_api.errors import ExitCode
from trainyard_launcher.account import Account
from trainyard_launcher.deadline import Deadline
from trainyard_launcher.interruption import Interruption
from trainyard_launcher.node import Node
from trainyard_storage import Store, digest

_SHUTDOWN_SECONDS = 5  # of a pod's grace period, for the launcher itself


@dataclass(frozen=True)
class Work:
    """A job, where it runs, and who is told of it."""

    job: ResolvedJob
    store: Store
    runtime: Path
    folder: Path  # the program's
    interruption: Interruption
    account: Account
    deadline: Deadline
    afterwards: ExitStack  # what is left to do once it's said how the launch ended
    node: Node | None = None  # None: one machine

    @property
    def grace_seconds(self) -> float:
        """How long ranks have for a checkpoint once they're told to stop."""
        grace = self.job.spec.template.termination_grace_period_seconds
        return max(grace - _SHUTDOWN_SECONDS, grace / 2) if self.node else grace


@dataclass(frozen=True)
class Outcome:
    """How a launch ended."""

    code: ExitCode
    store: Store
    runtime: Path
    fault: Fault | None = None
    restarts: int = 0
    repeated: bool = False  # the run was finished before: nothing was done


def runtime_folder(store: Store) -> Path:
    """This machine's folder for a run, the same each time: $XDG_CACHE_HOME/trainyard/runtime/<digest of the URI>."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    name = digest(store.uri.encode())
    for root in (cache / "trainyard" / "runtime", Path(tempfile.gettempdir()) / f"trainyard-{os.getuid()}"):
        try:
            (root / name / "logs").mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue
        return root / name
    return Path(tempfile.mkdtemp(prefix="trainyard-"))
