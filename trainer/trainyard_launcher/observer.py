"""What the launcher tells whoever watches it."""

from trainyard_api.documents import Fault
from trainyard_api.status import Progress


class Observer:
    """Hears how a job goes; says nothing by itself. Calls come from one thread, several times a second."""

    def stage(self, stage: str) -> None:
        """A stage begins: prepare, train, publish or script."""

    def skipped(self, stage: str) -> None:
        """A stage is done already."""

    def progress(self, progress: Progress) -> None:
        """How far the job is."""

    def line(self, rank: int, text: str) -> None:
        """A rank has written a line."""

    def notice(self, text: str) -> None:
        """Something that a person should know, in one line."""

    def waiting(self, text: str) -> None:
        """What it waits for, in plain words; empty: nothing any more."""

    def heartbeats(self) -> None:
        """The program has sent its first heartbeat: from now on a hang is noticed."""

    def fault(self, fault: Fault | None, restarts: int) -> None:
        """Why an attempt ended, if it did; and how many restarts there were after faults of the program."""
