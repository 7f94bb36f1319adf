"""From a resolved job to a finished run, or to one plain fault: stage after stage, with restarts in place."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from trainyard_api.documents import Fault, ResolvedJob
from trainyard_api.errors import ExitCode
from trainyard_launcher.attempts import begin_attempt, only_one
from trainyard_launcher.deadline import Deadline
from trainyard_launcher.faults import (
    diagnose,
    exit_code,
    failed_to_stop,
    hung,
    oom_kills,
    overdue,
    retry_may_help,
    write_termination,
)
from trainyard_launcher.hang import START_SECONDS, HangWatch
from trainyard_launcher.identity import run_store
from trainyard_launcher.interruption import Interruption
from trainyard_launcher.logs import upload_logs
from trainyard_launcher.machine import this_machine
from trainyard_launcher.observer import Observer
from trainyard_launcher.preflight import preflight
from trainyard_launcher.processes import Tree
from trainyard_launcher.runtime import clear, read_faults, sweep, write_atomically
from trainyard_launcher.source import program_folder
from trainyard_launcher.stages import FINISHED, REPORT, Stage, stages_of
from trainyard_launcher.supervise import TICK, Supervisor
from trainyard_launcher.times import timed
from trainyard_launcher.torchrun import torchrun_command
from trainyard_storage import Store, digest


@dataclass(frozen=True)
class Outcome:
    """How a launch ended."""

    code: ExitCode
    store: Store
    runtime: Path
    fault: Fault | None = None
    restarts: int = 0
    repeated: bool = False  # the run was finished before: nothing was done


def launch(job: ResolvedJob, observer: Observer | None = None) -> Outcome:
    """Run what is left of `job`. Call it from the main thread: SIGINT and SIGTERM are passed on to the ranks.

    Raises TrainyardError for what is wrong before anything is started; a fault later is in the Outcome.
    """
    store = run_store(job)
    runtime = runtime_folder(store)
    stages = stages_of(job)
    if store.head(stages[-1].marker) and store.head(REPORT.marker):
        return Outcome(ExitCode.OK, store, runtime, repeated=True)
    folder = program_folder(job, runtime)
    preflight(job, store, folder)
    with ExitStack() as stack:
        for place in _lock_folders(store, runtime):
            stack.enter_context(only_one(place, store.uri))
        stack.callback(sweep, runtime)
        interruption = stack.enter_context(Interruption())
        return _Launch(job, store, runtime, folder, interruption, observer or Observer()).run(stages)


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


def _lock_folders(store: Store, runtime: Path) -> Iterator[Path]:
    """Where runs of one job meet: on this machine, and in the run folder if it's a folder."""
    yield runtime
    if store.uri.startswith("file://"):
        yield Path(store.uri.removeprefix("file://"))


class _Launch:
    def __init__(
        self,
        job: ResolvedJob,
        store: Store,
        runtime: Path,
        folder: Path,
        interruption: Interruption,
        observer: Observer,
    ) -> None:
        self._job = job
        self._store = store
        self._runtime = runtime
        self._folder = folder
        self._interruption = interruption
        self._observer = observer
        self._restarts = 0
        self._hangs = 0
        self._deadline = Deadline(job.spec.active_deadline_seconds)

    def run(self, stages: list[Stage]) -> Outcome:
        write_atomically(self._runtime / "job.json", self._job.model_dump_json())
        # For the report. Without the template, whose environment may hold what not everyone should read.
        self._store.put("job.json", self._job.model_dump_json(exclude={"spec": {"template"}}).encode())
        self._store.put_json("machine.json", this_machine().model_dump(mode="json"))
        for stage in stages:
            if self._store.head(stage.marker):
                self._observer.skipped(stage.name)
                continue
            with timed(self._store, stage.name):
                fault = self._run_stage(stage)
            if fault:
                write_termination(fault, self._runtime)
                return self._outcome(exit_code(fault), fault)
            if self._interruption.count:
                return self._outcome(self._interruption.code)
        self._write_report()
        return self._outcome(self._interruption.code)

    def _outcome(self, code: ExitCode, fault: Fault | None = None) -> Outcome:
        return Outcome(code, self._store, self._runtime, fault, self._restarts)

    def _run_stage(self, stage: Stage) -> Fault | None:
        """Start the stage until it is done, can't be cured, or has used up its restarts."""
        self._observer.stage(stage.name)
        most = self._job.spec.recovery.max_restarts
        while not self._interruption.count:
            fault = self._attempt(stage)
            if fault is None or self._interruption.count:
                return fault
            if not retry_may_help(fault) or self._restarts >= most:
                return fault
            self._restarts += 1
            self._observer.notice(f"{fault.message} Restart {self._restarts} of {most} from the last checkpoint.")
        return None

    def _write_report(self) -> None:
        """The report is worth having, and never worth a model: its failure is a notice."""
        self._observer.stage(REPORT.name)
        clear(self._runtime)
        writing = self._start(REPORT, attempt=0)
        while not writing.wait(TICK):
            if self._interruption.count:
                writing.kill()
        if writing.poll() and not self._interruption.count:
            said = "; ".join(fault.message for fault in read_faults(self._runtime))
            self._observer.notice(f"The report couldn't be written: {said or 'its process ended'}")

    def _attempt(self, stage: Stage) -> Fault | None:
        clear(self._runtime)
        (self._runtime / "logs" / "torchrun.log").unlink(missing_ok=True)
        attempt = begin_attempt(self._store)
        killed_before = oom_kills()
        watch = HangWatch(
            self._runtime,
            self._job.spec.recovery.hang_seconds,
            patience=2.0**self._hangs,
            start_seconds=START_SECONDS if stage.name == "train" else None,  # a program may well send no beats
        )
        ending = Supervisor(
            self._start(stage, attempt),
            self._runtime,
            stage.name,
            watch=watch,
            deadline=self._deadline,
            interruption=self._interruption,
            observer=self._observer,
            grace_seconds=self._job.spec.template.termination_grace_period_seconds,
        ).run()
        if ending.hung:
            self._hangs += 1
            fault: Fault | None = hung(self._job, self._runtime, stage.name, ending.hung, None)
        elif self._interruption.count:
            fault = failed_to_stop(self._job, self._runtime, stage.name)
        else:
            killed = oom_kills() - killed_before
            fault = diagnose(self._job, self._runtime, stage.name, ending.code, dead=ending.dead, oom_kills=killed)
        if fault and self._deadline.passed():
            fault = overdue(self._job.spec.active_deadline_seconds)
        if problem := upload_logs(self._store, self._runtime / "logs", attempt):
            self._observer.notice(problem)
        if fault is None and not self._interruption.count:
            fault = self._conclude(stage, attempt, watch)
        return fault

    def _start(self, stage: Stage, attempt: int) -> Tree:
        one = (sys.executable, "-u", "-P", "-m", "trainyard_launcher.rank", *stage.program)
        command = torchrun_command(self._job, stage.program) if stage.ranks else list(one)
        log = self._runtime / "logs" / ("torchrun.log" if stage.ranks else f"{stage.name}.log")
        return Tree(command, env=self._environment(stage, attempt), folder=self._folder, log=log)

    def _environment(self, stage: Stage, attempt: int) -> dict[str, str]:
        processes = self._job.processes_per_node if stage.ranks else 1
        return {
            # Libraries share the cores out among ranks; torchrun would give each rank one and warn of it.
            "OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // processes)),
            **os.environ,
            "TRAINYARD_JOB": str(self._runtime / "job.json"),
            "TRAINYARD_RUN": self._store.uri,
            "TRAINYARD_RUNTIME": str(self._runtime),
            "TRAINYARD_ATTEMPT": str(attempt),
            "TRAINYARD_STAGE": stage.name,
            "PYTHONSAFEPATH": "1",  # the program's folder comes onto sys.path when the program starts, not before
        }

    def _conclude(self, stage: Stage, attempt: int, watch: HangWatch) -> Fault | None:
        """Write the marker of a script; a stage of ours has to have written its own."""
        if stage.name == "script":
            if not watch.heard:
                self._observer.notice("The program sent no heartbeats: a hang would not have been noticed.")
            self._store.put_json(FINISHED, {"attempt": attempt})
        elif not self._store.head(stage.marker):
            what = f"The stage {stage.name} ended without leaving its marker."
            return Fault(cause="ProgramError", message=what, where=self._store.url(stage.marker), exitCode=1)
        return None
