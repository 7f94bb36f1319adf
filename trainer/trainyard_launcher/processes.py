"""Process trees on Linux: who descends from whom, and how to leave nobody behind."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def die_with_parent() -> None:
    """Be killed when the thread that started this process ends (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends (prctl(2), PR_SET_CHILD_SUBREAPER)."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(root: int) -> list[int]:
    """Every living process below `root`, parents before children. Zombies are left out."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, IndexError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    children.setdefault(int(parent), []).append(int(entry.name))
    found, at = [], 0
    found.extend(children.get(root, []))
    while at < len(found):
        found.extend(children.get(found[at], []))
        at += 1
    return found


def is_alive(pid: int) -> bool:
    """Whether there is such a process that still runs."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False


def kill_descendants(root: int) -> None:
    """Kill everything below `root`, and what those start meanwhile, until nothing is left (5 s at most)."""
    deadline = time.monotonic() + 5
    while (found := descendants(root)) and time.monotonic() < deadline:
        for pid in found:
            send(pid, signal.SIGKILL)
        time.sleep(0.01)


def send(pid: int, number: signal.Signals) -> None:
    """Signal a process that may be gone already."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


class Tree:
    """A command and everything it starts. None of it outlives this process, however this one ends.

    In between stands a keeper (trainyard_launcher.keeper), in a session of its own, so that Ctrl-C in the terminal
    reaches the launcher alone.
    """

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], folder: Path, log: Path) -> None:
        with log.open("ab") as output:
            self._keeper = subprocess.Popen(
                [sys.executable, "-P", "-m", "trainyard_launcher.keeper", *command],
                stdin=subprocess.PIPE,  # its end of file tells the keeper that we're gone
                stdout=output,
                stderr=output,
                env=dict(env),
                cwd=folder,
                start_new_session=True,
            )

    def poll(self) -> int | None:
        """Exit code of the command, 128 + n for a signal; None while it runs."""
        return self._keeper.poll()

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds` for the end; whether it came."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._keeper.wait(seconds)
        return self._keeper.returncode is not None

    def kill(self) -> None:
        """Kill all of it. Returns when it's gone."""
        if self._keeper.stdin:
            self._keeper.stdin.close()
        try:
            self._keeper.wait(10)
        except subprocess.TimeoutExpired:  # the keeper itself is stopped or stuck
            kill_descendants(self._keeper.pid)
            self._keeper.kill()
            self._keeper.wait()
