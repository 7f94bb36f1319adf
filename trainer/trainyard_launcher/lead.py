"""One machine, or node 0 of several: stage after stage, with restarts in place."""

import time
from collections.abc import Callable

from trainyard_api.documents import Fault
from trainyard_api.errors import ExitCode
from trainyard_launcher.attempt import Attempts
from trainyard_launcher.attempts import begin_attempt, still_ours
from trainyard_launcher.faults import exit_code, retry_may_help
from trainyard_launcher.gang.gang import Gang
from trainyard_launcher.gang.muster import UNREACHED, Muster
from trainyard_launcher.gang.wish import Wish
from trainyard_launcher.machine import this_machine
from trainyard_launcher.ports import free_port
from trainyard_launcher.rank import PEER_LOST, TERMINATED
from trainyard_launcher.runtime import clear, read_faults, write_atomically
from trainyard_launcher.stages import FINISHED, REPORT, Stage
from trainyard_launcher.supervise import TICK
from trainyard_launcher.times import timed
from trainyard_launcher.torchrun import Place
from trainyard_launcher.work import Outcome, Work


class Lead:
    """Runs the stages of a job; those with ranks together with the gang, if there is one."""

    def __init__(self, work: Work, gang: Gang | None) -> None:
        self._work = work
        self._gang = gang
        self._attempts = Attempts(work)
        self._attempt: int | None = None
        self._unreached = 0  # attempts whose nodes didn't reach each other
        self._restarts = work.node.restarts if work.node else 0

    def run(self, stages: list[Stage]) -> Outcome:
        """Run what is left of `stages`, then write the report."""
        work, account = self._work, self._work.account
        self._tell_gang(restarts=self._restarts)
        self._introduce()
        for stage in stages:
            if work.store.head(stage.marker):
                account.skipped(stage.name)
            else:
                with timed(work.store, stage.name):
                    fault = self._run_stage(stage)
                if fault:
                    return self._outcome(exit_code(fault), fault)
                if work.interruption.count:
                    return self._outcome(work.interruption.code)
            if stage.ranks and self._gang:
                self._gang.finish()
        account.published(work.store)
        self._write_report()
        return self._outcome(work.interruption.code)

    def _introduce(self) -> None:
        """Say what runs, and on what, to the processes and to the report."""
        work = self._work
        write_atomically(work.runtime / "job.json", work.job.model_dump_json())
        # Without the template, whose environment may hold what not everyone should read.
        work.store.put("job.json", work.job.model_dump_json(exclude={"spec": {"template"}}).encode())
        work.store.put_json("machine.json", this_machine().model_dump(mode="json"))

    def _outcome(self, code: ExitCode, fault: Fault | None = None) -> Outcome:
        return Outcome(code, self._work.store, self._work.runtime, fault, self._restarts)

    def _run_stage(self, stage: Stage) -> Fault | None:
        """Start the stage until it is done, can't be cured, or has used up its restarts."""
        self._work.account.stage(stage.name)
        self._tell_gang(stage=stage.name)
        gang = self._gang if stage.ranks else None
        while not self._work.interruption.count:
            fault = self._together(gang, stage) if gang else self._alone(stage)
            if fault is None or self._work.interruption.count:
                return fault
            if gang and not (fault := self._culprit(gang, fault)):
                continue
            if not retry_may_help(fault) or self._used_up():
                return fault
            self._count(fault)
        return None

    def _alone(self, stage: Stage) -> Fault | None:
        self._attempt = begin_attempt(self._work.store, self._attempt)
        ended = self._attempts.run(stage, self._attempt)
        return ended.fault or self._conclude(stage, self._attempt, ended.heartbeats)

    def _together(self, gang: Gang, stage: Stage) -> Fault | None:
        """One attempt of the gang, once enough nodes are there."""
        if not (begun := self._begin(gang)):
            return None
        number, place = begun
        self._work.account.notice(f"Attempt {number} begins; nodes: {place.nodes}.")
        where = f"{place.address}:{place.port}"
        muster = Muster(gang, self._work.runtime, where, self._tell, 2.0 ** min(self._unreached, 3))
        ended = self._attempts.run(stage, number, place, muster)
        self._unreached += muster.fault is not None
        fault = muster.fault or ended.fault or self._others_end(gang, stage)
        gang.end()
        return fault or self._conclude(stage, number, ended.heartbeats)

    def _begin(self, gang: Gang) -> tuple[int, Place] | None:
        """The next attempt's number, and this node's place in it; None if this launcher is told to stop."""
        node = self._work.node
        address = node.address or node.host if node else ""
        while self._wait_for(gang.waits_for):
            number = self._attempt = begin_attempt(self._work.store, self._attempt)
            if place := gang.begin(number, address, free_port()):  # storage took a while, in which nodes may have left
                return number, place
        return None

    def _others_end(self, gang: Gang, stage: Stage) -> Fault | None:
        """Wait for the other nodes' ranks, where no marker says that the stage is done."""
        while not self._work.interruption.count and not self._work.store.head(stage.marker):
            if not (left := gang.unfinished()):
                return None
            if gang.wish() in (Wish.SOON, Wish.NOW):
                return Fault(cause=PEER_LOST, message=f"Node {left} did not come to its end.", exitCode=3)
            self._tell(f"node {left} to come to its end")
            time.sleep(TICK)
        return None

    def _culprit(self, gang: Gang, fault: Fault) -> Fault | None:
        """The fault of the program that ended the last attempt, on whichever node; None: nodes came or went."""
        if not self._wait_for(gang.busy):
            return None
        blame = gang.blame()
        if fault.cause not in (PEER_LOST, TERMINATED, UNREACHED):
            return fault
        if blame.fault:
            return blame.fault
        if blame.moved or fault.cause == UNREACHED:
            self._work.account.notice(f"{fault.message} It goes on from the last checkpoint.")
            return None
        return fault  # nobody came or went, and yet ranks lost each other

    def _used_up(self) -> bool:
        """Whether no restart is left. The operator has counted some, too: pods that were made since know of them."""
        if self._gang:
            self._restarts = max(self._restarts, self._gang.restarts)
            self._work.account.fault(None, self._restarts)
        return self._restarts >= self._work.job.spec.recovery.max_restarts

    def _count(self, fault: Fault) -> None:
        most = self._work.job.spec.recovery.max_restarts
        self._restarts += 1
        self._tell_gang(restarts=self._restarts)
        self._work.account.fault(fault, self._restarts)
        self._work.account.notice(f"{fault.message} Restart {self._restarts} of {most} from the last checkpoint.")

    def _wait_for(self, what: Callable[[], str]) -> bool:
        """Wait until `what` names nothing any more; False if this launcher is told to stop."""
        while not self._work.interruption.count:
            waits = what()
            self._tell(waits)
            if not waits:
                return True
            time.sleep(TICK)
        return False

    def _tell(self, waiting: str) -> None:
        self._work.account.waiting(waiting)
        if self._gang:
            self._gang.tell(waiting=waiting)

    def _tell_gang(self, *, stage: str | None = None, restarts: int | None = None) -> None:
        if self._gang:
            self._gang.tell(stage=stage, restarts=restarts)

    def _conclude(self, stage: Stage, attempt: int, heartbeats: bool) -> Fault | None:
        """Write the marker of a script; a stage of ours has to have written its own."""
        work = self._work
        if work.interruption.count:
            return None
        if stage.name == "script":
            if not heartbeats:
                work.account.notice("The program sent no heartbeats: a hang would not have been noticed.")
            still_ours(work.store, attempt)
            work.store.put_json(FINISHED, {"attempt": attempt})
        elif not work.store.head(stage.marker):
            what = f"The stage {stage.name} ended without leaving its marker."
            return Fault(cause="ProgramError", message=what, where=work.store.url(stage.marker), exitCode=1)
        return None

    def _write_report(self) -> None:
        """The report is worth having, and never worth a model: its failure is a notice."""
        work = self._work
        work.account.stage(REPORT.name)
        clear(work.runtime)
        writing = self._attempts.start(REPORT, 0)
        while not writing.wait(TICK):
            if work.interruption.count:
                writing.kill()
        if writing.poll() and not work.interruption.count:
            said = "; ".join(fault.message for fault in read_faults(work.runtime))
            work.account.notice(f"The report couldn't be written: {said or 'its process ended'}")
