"""The files by which the ranks of a job and its launcher speak: heartbeats, progress, faults, a request to stop.

They lie in the runtime folder, one per job and machine (TRAINYARD_RUNTIME). Nothing heavy is imported here, so that
user programs, too, may use it.
"""

import mmap
import os
import shutil
import signal
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from trainyard_api.documents import Fault
from trainyard_api.status import CheckpointStatus, Progress

PROGRESS = "progress.json"
CHECKPOINT = "checkpoint.json"
METRICS_PORT = "metrics-port"
_NOTICES = "notices"
_HEARTBEAT = "heartbeat-"
_FAULT = "fault-"
_PID = "pid-"
_BEGUN = "begun"
SCRATCH = "prepare-"  # what the folders begin with in which data is prepared
STAGING = "staging"  # the folder in which checkpoints are staged
_BEAT = struct.Struct("@qd")  # native: each of the two is written at once, and the time last


def write_atomically(path: Path, text: str) -> None:
    """Write `text` so that a reader sees all of it or nothing, also if two write at once."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text)
    partial.replace(path)


class Heartbeat:
    """Says that a rank is alive and at which step, at the price of one write to shared memory (under 1 us)."""

    def __init__(self, runtime: Path, rank: int) -> None:
        path = runtime / f"{_HEARTBEAT}{rank:05d}"
        with path.open("w+b") as file:
            file.truncate(_BEAT.size)
            self._memory = mmap.mmap(file.fileno(), _BEAT.size)

    def beat(self, step: int) -> None:
        """Call once per step, and while anything else that may take a minute goes on (evaluation, for one)."""
        _BEAT.pack_into(self._memory, 0, step, time.monotonic())

    def rest(self) -> None:
        """Say that no beat is to be expected until the next one: the last step is done, or something long begins."""
        self._memory[:] = bytes(_BEAT.size)

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Rest while something goes on that knows its own limits of time, like an upload; then go on as before."""
        step, time_of_beat = _BEAT.unpack(self._memory)
        self.rest()
        yield
        if time_of_beat:  # a program that sends no beats is left alone
            self.beat(step)


def read_heartbeats(runtime: Path) -> dict[int, tuple[int, float]]:
    """Rank -> (step, time.monotonic() of the last beat), for ranks that have begun to beat and don't rest."""
    beats = {}
    for rank, path in _per_rank(runtime, _HEARTBEAT):
        content = path.read_bytes()
        if len(content) == _BEAT.size and (beat := _BEAT.unpack(content))[1]:  # a step without a time is half written
            beats[rank] = beat
    return beats


def write_progress(runtime: Path, progress: Progress) -> None:
    """Say how far the job is. Rank 0 calls this a few times a second at most."""
    write_atomically(runtime / PROGRESS, progress.model_dump_json())


def read_progress(runtime: Path) -> Progress | None:
    """What was said last; None if nothing was, or it can't be read."""
    try:
        return Progress.model_validate_json((runtime / PROGRESS).read_bytes())
    except (OSError, ValidationError):
        return None


def write_checkpoint(runtime: Path, checkpoint: CheckpointStatus) -> None:
    """Say which checkpoint is the newest; rank 0 does, when it has committed or loaded one.

    It is news and no more: a disk that is full must not fail the checkpoint.
    """
    with suppress(OSError):
        write_atomically(runtime / CHECKPOINT, checkpoint.model_dump_json())


def read_checkpoint(runtime: Path) -> CheckpointStatus | None:
    """The newest checkpoint that was told; None if none was."""
    try:
        return CheckpointStatus.model_validate_json((runtime / CHECKPOINT).read_bytes())
    except (OSError, ValidationError):
        return None


def notify(runtime: Path, line: str) -> None:
    """Tell a line to the person who watches the job."""
    with (runtime / _NOTICES).open("a") as file:
        file.write(f"{line}\n")


def read_notices(runtime: Path) -> list[str]:
    """What was told in this way."""
    path = runtime / _NOTICES
    return path.read_text().splitlines() if path.exists() else []


def write_fault(runtime: Path, fault: Fault) -> None:
    """Leave behind why this process ends. The first fault of a rank stays: later ones follow from it."""
    path = runtime / f"{_FAULT}{fault.rank or 0:05d}.json"
    if not path.exists():
        write_atomically(path, fault.model_dump_json())


def read_faults(runtime: Path) -> list[Fault]:
    """Faults of all ranks, the earliest first."""
    faults = []
    for _, path in _per_rank(runtime, _FAULT):
        try:
            faults.append((path.stat().st_mtime_ns, Fault.model_validate_json(path.read_bytes())))
        except (OSError, ValidationError):
            continue
    return [fault for _, fault in sorted(faults, key=lambda item: item[0])]


def write_pid(runtime: Path, rank: int) -> None:
    """Say that this process is `rank` and answers SIGUSR1 with its stack."""
    write_atomically(runtime / f"{_PID}{rank:05d}", str(os.getpid()))
    (runtime / _BEGUN).touch()


def has_begun(runtime: Path) -> bool:
    """Whether any rank has begun, ended well though it may be by now."""
    return (runtime / _BEGUN).exists()


def forget_pid(runtime: Path, rank: int) -> None:
    """Say that this rank ends as it should."""
    (runtime / f"{_PID}{rank:05d}").unlink(missing_ok=True)


def read_pids(runtime: Path) -> dict[int, int]:
    """Rank -> process id, for ranks that have begun and not ended well."""
    found = {}
    for rank, path in _per_rank(runtime, _PID):
        with suppress(OSError, ValueError):  # a rank takes its file away when it ends, between two looks
            found[rank] = int(path.read_text())
    return found


def write_metrics_port(runtime: Path, port: int) -> None:
    """Say on which port /metrics answers."""
    write_atomically(runtime / METRICS_PORT, str(port))


def read_metrics_port(runtime: Path) -> int | None:
    """The port that answers /metrics; None if there is none."""
    try:
        return int((runtime / METRICS_PORT).read_text())
    except (OSError, ValueError):
        return None


def clear(runtime: Path) -> None:
    """Forget what an earlier set of processes left, before a new one begins. Logs and staging stay."""
    for scratch in runtime.glob(f"{SCRATCH}*"):
        shutil.rmtree(scratch, ignore_errors=True)
    for prefix in (_HEARTBEAT, _FAULT, _PID):
        for _, path in _per_rank(runtime, prefix):
            path.unlink(missing_ok=True)
    for name in (PROGRESS, METRICS_PORT, _NOTICES, _BEGUN):
        (runtime / name).unlink(missing_ok=True)


def sweep(runtime: Path) -> None:
    """Delete what is of use only while a launch goes on, and may be large. Logs stay."""
    clear(runtime)
    (runtime / CHECKPOINT).unlink(missing_ok=True)
    shutil.rmtree(runtime / STAGING, ignore_errors=True)


class StopRequest:
    """A flag that SIGTERM and SIGINT raise in a rank, so that it can finish its step and save a checkpoint.

    Make one in the main thread, as early as something is worth saving. Ranks get the signal at different steps: agree
    on the step (an all-reduce of the flag) before acting on it.
    """

    def __init__(self, signals: Iterable[signal.Signals] = (signal.SIGTERM, signal.SIGINT)) -> None:
        self.signal: int | None = None
        for number in signals:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        if number == signal.SIGINT:  # whoever presses Ctrl-C twice means it
            signal.signal(number, signal.default_int_handler)

    def requested(self) -> bool:
        """Whether this rank was asked to stop."""
        return self.signal is not None


def _per_rank(runtime: Path, prefix: str) -> list[tuple[int, Path]]:
    found = []
    for path in runtime.glob(f"{prefix}*"):
        digits = path.name.removeprefix(prefix).removesuffix(".json")
        if digits.isdecimal():
            found.append((int(digits), path))
    return sorted(found)


def runtime_from_environment() -> Path | None:
    """The runtime folder of the job this process belongs to; None outside a launcher."""
    folder = os.environ.get("TRAINYARD_RUNTIME")
    return Path(folder) if folder else None
