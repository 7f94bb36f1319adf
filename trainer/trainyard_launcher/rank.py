"""The first code of every process that the launcher starts: `python -m trainyard_launcher.rank PROGRAM [ARGUMENT...]`.

It sends the output to the rank's log, answers SIGUSR1 with the stacks of all threads, and then runs the program (a
file, or `-m module`) in this very process; an exception of it becomes a fault that the launcher can tell people.
Nothing but Python and this package is needed, so any program can be run by it.
"""

import faulthandler
import os
import runpy
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from trainyard_api.documents import Fault
from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_launcher.processes import die_with_parent
from trainyard_launcher.runtime import forget_pid, runtime_from_environment, write_fault, write_pid

OUT_OF_MEMORY = "OutOfMemory"
TERMINATED = "Terminated"
PEER_LOST = "PeerLost"  # what a rank says when another is gone: never the cause by itself
_GLOO_LOSS = (  # what its transport says of a peer that is gone; it has other errors, which are the program's
    "Connection closed by peer",
    "Connection reset by peer",
    "Connection refused",
    "Connection timed out",
    "No route to host",
    "Broken pipe",
    "connectFullMesh failed",
    "Timed out waiting",
    "timed out connecting",
    "Read timeout",
    "caused pair closure",
)
_MEMORY_WORDS = ("out of memory", "can't allocate memory", "Cannot allocate memory")


def main(arguments: Sequence[str]) -> int:
    """Run the program named by `arguments` as one rank; its exit code."""
    runtime = runtime_from_environment()
    if runtime:
        _enter(runtime, own_rank())
    code = guarded(lambda: _execute(arguments), cause="UserError")
    if code == ExitCode.TERMINATED:
        # Stopped as it was asked to, with a checkpoint. To torchrun that is success: it would kill the other ranks,
        # which may still be writing theirs.
        leave(Fault(cause=TERMINATED, message="The program was told to stop.", rank=own_rank(), exitCode=code))
        code = ExitCode.OK
    if runtime and code == ExitCode.OK:
        forget_pid(runtime, own_rank())
    return code


def own_rank() -> int:
    """This process's rank; 0 where there is only one."""
    return int(os.environ.get("RANK", "0"))


def rank_log(runtime: Path, stage: str, rank: int) -> Path:
    """Where the output of one rank goes."""
    return runtime / "logs" / f"{stage}-rank-{rank:05d}.log"


def guarded(run: Callable[[], object], *, cause: str) -> int:
    """Call `run`; an exception becomes a fault in the runtime folder, a message on stderr and an exit code.

    `cause` is that of exceptions which aren't TrainyardErrors. A SystemExit keeps its code.
    """
    try:
        run()
    except TrainyardError as error:
        sys.stderr.write(f"{error}\n")
        leave(fault_of(error, own_rank()))
        return error.code
    except SystemExit as leaving:
        return _exit_code(leaving)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BaseException as error:  # noqa: BLE001 - whatever ends a rank has to be told
        traceback.print_exception(_without_our_frames(error))
        leave(_fault_of_exception(error, cause))
        return ExitCode.FAILED
    return ExitCode.OK


def _enter(runtime: Path, rank: int) -> None:
    log = os.open(
        rank_log(runtime, os.environ.get("TRAINYARD_STAGE", "train"), rank), os.O_WRONLY | os.O_CREAT | os.O_APPEND
    )
    sys.stdout.flush()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    die_with_parent()
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    write_pid(runtime, rank)


def _execute(arguments: Sequence[str]) -> None:
    program = arguments[0]
    if os.environ.pop("PYTHONSAFEPATH", None) is None:
        del sys.path[0]  # where Python itself put the folder that `-m` starts from
    if program == "-m":
        if not arguments[1].startswith("trainyard_"):  # a user's random.py must not come between us and Python's
            sys.path.insert(0, str(Path.cwd()))
        sys.argv = list(arguments[1:])
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, str(Path(program).absolute().parent))
        sys.argv = list(arguments)
        runpy.run_path(program, run_name="__main__")


def _exit_code(leaving: SystemExit) -> int:
    if leaving.code is None or isinstance(leaving.code, int):
        return leaving.code or 0
    sys.stderr.write(f"{leaving.code}\n")
    leave(Fault(cause="UserError", message=str(leaving.code), rank=own_rank(), exitCode=ExitCode.FAILED))
    return ExitCode.FAILED


def leave(fault: Fault) -> None:
    """Write `fault` down for the launcher, if there is one."""
    runtime = runtime_from_environment()
    if runtime:
        try:
            write_fault(runtime, fault)
        except OSError as error:
            sys.stderr.write(f"The fault can't be written down: {error}\n")


def fault_of(error: TrainyardError, rank: int | None) -> Fault:
    """`error` as a document."""
    return Fault(
        cause=error.cause,
        message=error.what,
        rank=rank,
        exitCode=error.code,
        where=error.where,
        remedy=error.remedy,
    )


def _fault_of_exception(error: BaseException, cause: str) -> Fault:
    name = type(error).__name__
    text = f"{name}: {error}"
    frames = traceback.extract_tb(_without_our_frames(error).__traceback__)
    exit_code = ExitCode.FAILED
    if isinstance(error, MemoryError) or any(words in text for words in _MEMORY_WORDS):
        cause = OUT_OF_MEMORY
    elif int(os.environ.get("WORLD_SIZE", "1")) > 1 and lost_peer(error):
        cause, exit_code = PEER_LOST, ExitCode.INFRASTRUCTURE
    return Fault(
        cause=cause,
        message=text.splitlines()[0],
        rank=own_rank(),
        exitCode=exit_code,
        exception=text,
        where=f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "",
    )


def lost_peer(error: BaseException) -> bool:
    """Whether `error` is torch.distributed's way of saying that another process is gone. No torch is imported.

    A DistError may have other reasons, too, which its text doesn't tell reliably.
    """
    kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    if "torch.distributed.DistError" in kinds:
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and "gloo/" in text and any(words in text for words in _GLOO_LOSS)


def _without_our_frames(error: BaseException) -> BaseException:
    """`error` with its traceback beginning in the program, not in how we start it."""
    ours = (__file__, runpy.__file__, "<frozen runpy>")
    at = error.__traceback__
    while at is not None and at.tb_frame.f_code.co_filename in ours:
        at = at.tb_next
    return error.with_traceback(at)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
