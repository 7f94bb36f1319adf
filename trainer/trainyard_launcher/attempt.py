"""One attempt at a stage: its processes from start to end, and why they ended."""

import sys
from dataclasses import dataclass

from trainyard_api.documents import Fault
from trainyard_launcher.environment import environment
from trainyard_launcher.faults import bereft, diagnose, failed_to_stop, hung, oom_kills, overdue
from trainyard_launcher.gang.wish import Peers
from trainyard_launcher.hang import START_SECONDS, HangWatch
from trainyard_launcher.logs import upload_logs
from trainyard_launcher.processes import Tree
from trainyard_launcher.runtime import clear
from trainyard_launcher.stages import Stage
from trainyard_launcher.supervise import Ending, Supervisor
from trainyard_launcher.torchrun import Place, torchrun_command
from trainyard_launcher.work import Work


@dataclass(frozen=True)
class Ended:
    """How an attempt ended; without a fault it came to its end, or was stopped because this launcher was."""

    fault: Fault | None
    heartbeats: bool


class Attempts:
    """Starts a stage's processes, as often as it's asked to."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._hangs = 0

    def run(self, stage: Stage, number: int, place: Place | None = None, peers: Peers | None = None) -> Ended:
        """Attempt `number` at `stage`; with other nodes, in `place` and with an ear for `peers`."""
        work = self._work
        clear(work.runtime)
        if stage.ranks:
            work.account.begin()
        (work.runtime / "logs" / "torchrun.log").unlink(missing_ok=True)
        killed_before = oom_kills()
        watch = HangWatch(
            work.runtime,
            work.job.spec.recovery.hang_seconds,
            patience=2.0**self._hangs,
            start_seconds=START_SECONDS if stage.name == "train" else None,  # a program may well send no beats
            peers=peers,
        )
        ending = Supervisor(
            self.start(stage, number, place),
            work.runtime,
            stage.name,
            watch=watch,
            deadline=work.deadline,
            interruption=work.interruption,
            observer=work.account,
            grace_seconds=work.grace_seconds,
            peers=peers,
        ).run()
        if ending.hung:
            self._hangs += 1
        fault = self._fault(stage, ending, oom_kills() - killed_before)
        if work.interruption.count:  # the time is short: first the others are told, and how it ended is written down
            work.afterwards.callback(self._upload_logs, stage, number, place)
        else:
            self._upload_logs(stage, number, place)
        return Ended(fault, watch.heard)

    def start(self, stage: Stage, number: int, place: Place | None = None) -> Tree:
        """The stage's processes, started and left to the caller."""
        work = self._work
        one = [sys.executable, "-u", "-P", "-m", "trainyard_launcher.rank", *stage.program]
        command = torchrun_command(work.job, stage.program, number, place) if stage.ranks else one
        log = work.runtime / "logs" / ("torchrun.log" if stage.ranks else f"{stage.name}.log")
        return Tree(command, env=environment(work, stage, number), folder=work.folder, log=log)

    def _upload_logs(self, stage: Stage, number: int, place: Place | None) -> None:
        work = self._work
        count = work.job.processes_per_node if stage.ranks else 1
        first = place.rank * count if place else 0
        index, ranks = work.node.index if work.node else 0, range(first, first + count)
        if problem := upload_logs(work.store, work.runtime / "logs", stage.name, number, ranks, index):
            work.account.notice(problem)

    def _fault(self, stage: Stage, ending: Ending, killed: int) -> Fault | None:
        work = self._work
        if ending.hung:
            fault: Fault | None = hung(work.job, work.runtime, stage.name, ending.hung, None)
        elif work.interruption.count:
            fault = failed_to_stop(work.job, work.runtime, stage.name)
        elif ending.wished:
            fault = bereft(work.job, work.runtime, stage.name)
        else:
            fault = diagnose(work.job, work.runtime, stage.name, ending.code, dead=ending.dead, oom_kills=killed)
        return overdue(work.job.spec.active_deadline_seconds) if fault and work.deadline.passed() else fault
