"""One program of the control plane, which a test may stop and start again."""

import subprocess
from pathlib import Path


class Process:
    """A program with its log; not running until `start`."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.command = command
        self.log = log
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, unless it runs."""
        if self._running is None:
            with self.log.open("ab") as output:
                self._running = subprocess.Popen(self.command, stdout=output, stderr=output)

    def stop(self) -> None:
        """Kill it, as a crash would, and wait until it is gone."""
        if self._running is not None:
            self._running.kill()
            self._running.wait()
            self._running = None

    @property
    def pid(self) -> int:
        """Its process number. Raises RuntimeError if it doesn't run."""
        if self._running is None:
            raise RuntimeError(f"{self.command[0]} doesn't run")
        return self._running.pid

    def check(self) -> None:
        """Raise RuntimeError, with the end of its log, if it ended by itself."""
        if self._running is not None and self._running.poll() is not None:
            raise RuntimeError(f"{self.command[0]} has ended:\n{self.tail()}")

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""
