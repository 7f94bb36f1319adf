"""Why a stage ended, in one plain sentence, and whether trying again may help."""

import signal
from collections.abc import Sequence
from pathlib import Path

from trainyard_api.documents import Fault, ResolvedJob
from trainyard_api.errors import ExitCode
from trainyard_launcher.logs import last_lines, tail
from trainyard_launcher.rank import OUT_OF_MEMORY, PEER_LOST, TERMINATED, rank_log
from trainyard_launcher.runtime import read_faults
from trainyard_launcher.torchrun import RankEnd, failures

DEADLINE_EXCEEDED = "DeadlineExceeded"
HUNG = "Hung"
KILLED = "Killed"
# A program that can't be read, or lacks a module, lacks it the next time too; so does a loss that is a pure function
# of data, seed and settings.
_INCURABLE_CAUSES = {"LossNotFinite", DEADLINE_EXCEEDED}
_NCCL_PEER_LOST = ("remote process exited", "ncclRemoteError")
_INCURABLE_EXCEPTIONS = ("SyntaxError", "IndentationError", "TabError", "ImportError", "ModuleNotFoundError")


def diagnose(
    job: ResolvedJob, runtime: Path, stage: str, code: int, *, dead: Sequence[int], oom_kills: int
) -> Fault | None:
    """The fault that ended a stage whose process tree exited with `code`; None if it ended well.

    `dead`: ranks that were seen to have failed before the tree ended. `oom_kills`: how many processes the kernel has
    killed for memory meanwhile.
    """
    faults = sorted(read_faults(runtime), key=lambda fault: fault.cause == PEER_LOST)
    if code == 0:
        return next((fault for fault in faults if fault.cause == TERMINATED), None)
    ends = failures(tail(runtime / "logs" / "torchrun.log")) or [
        RankEnd(rank, 128 - code if code > 128 else code, 0) for rank in dead or [0]
    ]
    bereft = {fault.rank for fault in faults if fault.cause == PEER_LOST}
    end = next((end for end in ends if end.rank not in bereft), ends[0])
    own = [fault for fault in faults if fault.rank == end.rank]
    if own:
        fault = own[0]
    elif end.exit_code < 0:
        fault = _killed(end, oom_kills, rank_log(runtime, stage, end.rank))
    elif faults:
        fault = faults[0]
    else:
        what = f"Rank {end.rank} ended with exit code {end.exit_code}."
        # A fault of the infrastructure is one that our own code has written down; a program's 3 isn't.
        code = ExitCode.FAILED if end.exit_code == ExitCode.INFRASTRUCTURE else end.exit_code
        fault = Fault(cause="UserError", message=what, rank=end.rank, exitCode=code)
    return _completed(fault, job, runtime, stage)


def failed_to_stop(job: ResolvedJob, runtime: Path, stage: str) -> Fault | None:
    """What a rank says went wrong when it was told to stop: its checkpoint couldn't be written, say.

    None if the ranks ended as they were asked to, or were killed.
    """
    fault = next((fault for fault in read_faults(runtime) if fault.cause not in (TERMINATED, PEER_LOST)), None)
    return fault and _completed(fault, job, runtime, stage)


def bereft(job: ResolvedJob, runtime: Path, stage: str) -> Fault:
    """The fault of an attempt whose end other nodes wanted: what a rank here says went wrong, else the loss of them."""
    if own := failed_to_stop(job, runtime, stage):
        return own
    stopped = any(fault.cause == TERMINATED for fault in read_faults(runtime))
    what = "Nodes come or go." if stopped else "Another node of this job has ended or is silent."
    return Fault(cause=TERMINATED if stopped else PEER_LOST, message=what, exitCode=ExitCode.INFRASTRUCTURE)


def hung(job: ResolvedJob, runtime: Path, stage: str, sentence: str, rank: int | None) -> Fault:
    """The fault of a stage that was killed because it hung."""
    fault = Fault(
        cause=HUNG,
        message=f"The job hangs: {sentence}.",
        rank=rank,
        exitCode=ExitCode.FAILED,
        where=str(runtime / "logs"),
        remedy="The stack of every rank is in its log. If a step may take so long, raise spec.recovery.hangSeconds.",
    )
    return _completed(fault, job, runtime, stage)


def overdue(seconds: int | None) -> Fault:
    """The fault of a job that was stopped because it ran for longer than it may."""
    return Fault(
        cause=DEADLINE_EXCEEDED,
        message=f"The job was stopped: it may run for {seconds} s.",
        exitCode=ExitCode.FAILED,
        where="spec.activeDeadlineSeconds",
        remedy="Raise it. The same command goes on from the last checkpoint.",
    )


def retry_may_help(fault: Fault) -> bool:
    """Whether the same program could come through if it were started again, here and now."""
    if fault.cause == PEER_LOST:
        return True
    incurable = fault.cause in _INCURABLE_CAUSES or (fault.exception or "").startswith(_INCURABLE_EXCEPTIONS)
    return not incurable and fault.exit_code not in (ExitCode.INVALID, ExitCode.INFRASTRUCTURE)


def exit_code(fault: Fault) -> ExitCode:
    """The launcher's exit code for it: FAILED, if a retry would help, since all were used up.

    So it is where ranks have lost each other though nobody went: for that no pod is to be replaced without limit.
    """
    if retry_may_help(fault) or fault.cause == DEADLINE_EXCEEDED:
        return ExitCode.FAILED
    return ExitCode.INFRASTRUCTURE if fault.exit_code == ExitCode.INFRASTRUCTURE else ExitCode.INVALID


def oom_kills() -> int:
    """Processes that the kernel has killed for memory so far: of our control group if it tells, else of the machine."""
    try:
        group = Path("/proc/self/cgroup").read_text().rpartition("::")[2].strip().lstrip("/")
        events = (Path("/sys/fs/cgroup") / group / "memory.events").read_text()
    except OSError:
        events = Path("/proc/vmstat").read_text()
    counts = dict(line.split() for line in events.splitlines() if len(line.split()) == 2)
    return int(counts.get("oom_kill", 0))


def _completed(fault: Fault, job: ResolvedJob, runtime: Path, stage: str) -> Fault:
    update: dict[str, object] = {
        "last_lines": fault.last_lines or last_lines(rank_log(runtime, stage, fault.rank or 0))
    }
    if fault.cause == OUT_OF_MEMORY and not fault.remedy:
        update["remedy"] = _memory_remedy(job, stage)
    return fault.model_copy(update=update)


def _killed(end: RankEnd, oom_kills: int, log: Path) -> Fault:
    name = signal.Signals(-end.exit_code).name
    if end.exit_code == -signal.SIGKILL and oom_kills:
        what = f"Rank {end.rank} was killed by the system: it ran out of memory."
        return Fault(cause=OUT_OF_MEMORY, message=what, rank=end.rank, exitCode=end.exit_code)
    if end.exit_code == -signal.SIGABRT and any(words in tail(log) for words in _NCCL_PEER_LOST):
        what = f"Rank {end.rank} was ended by NCCL: another process of this job is gone."
        return Fault(cause=PEER_LOST, message=what, rank=end.rank, exitCode=ExitCode.INFRASTRUCTURE)
    by = " from outside" if end.exit_code == -signal.SIGKILL else ""
    what = f"Rank {end.rank} was killed{by} ({name})."
    return Fault(cause=KILLED, message=what, rank=end.rank, exitCode=end.exit_code)


def _memory_remedy(job: ResolvedJob, stage: str) -> str:
    if stage == "prepare":
        return "Give it more memory. Leaving columns out (prepare.drop) or smaller images (prepare.image) need less."
    if stage == "publish":
        return "Give it more memory, or write fewer formats (spec.recipe.export.formats)."
    if job.spec.recipe:
        return f"Lower spec.recipe.train.batchSize (now {job.spec.recipe.train.batch_size}) or raise accumulationSteps."
    return "Lower the program's batch size, or the number of processes."
