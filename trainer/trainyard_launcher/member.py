"""Every node but the first: runs ranks when node 0 says so, and nothing else."""

import time
from contextlib import suppress
from dataclasses import replace

from trainyard_api.documents import Fault
from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_launcher.attempt import Attempts
from trainyard_launcher.attempts import replaced
from trainyard_launcher.faults import exit_code, retry_may_help
from trainyard_launcher.gang.documents import Order
from trainyard_launcher.gang.documents import Outcome as Ending
from trainyard_launcher.gang.link import Link
from trainyard_launcher.rank import PEER_LOST, TERMINATED
from trainyard_launcher.runtime import write_atomically
from trainyard_launcher.stages import Stage
from trainyard_launcher.supervise import TICK
from trainyard_launcher.torchrun import Place
from trainyard_launcher.work import Outcome, Work
from trainyard_storage import open_store

_LOOK_SECONDS = 10.0  # how often a node that hears nothing looks whether the work was done without it


class Member:
    """Follows node 0 until nothing is left to do."""

    def __init__(self, work: Work, link: Link) -> None:
        self._work = work
        self._link = link
        self._attempts = Attempts(work)
        self._last = ("", 0)  # leader and attempt: a new node 0 may count anew
        self._looked = time.monotonic()

    def run(self, stage: Stage) -> Outcome:
        """Take part in every attempt at `stage` in which this node has a place.

        Raises TrainyardError if another launcher has taken this node's place.
        """
        work = self._work
        write_atomically(work.runtime / "job.json", work.job.model_dump_json())
        while not work.interruption.count:
            order = self._link.order
            work.account.fault(None, max(order.restarts, work.node.restarts if work.node else 0))
            if order.replaced:
                raise replaced(work.store.uri)
            if order.done or self._done_without(stage):
                return self._outcome(ExitCode.OK)
            if not order.attempt or (order.leader, order.attempt) == self._last:
                work.account.waiting(self._waits_for(order, stage))
                time.sleep(TICK)
            elif fault := self._take_part(stage, order):
                if not retry_may_help(fault) or order.restarts >= work.job.spec.recovery.max_restarts:
                    return self._outcome(exit_code(fault), fault)
                work.account.notice(f"{fault.message} Restart {order.restarts + 1} from the last checkpoint.")
        return self._outcome(work.interruption.code)

    def _take_part(self, stage: Stage, order: Order) -> Fault | None:
        """One attempt; the program's own fault, if it was that."""
        self._last = (order.leader, order.attempt)
        self._link.begin(order)
        self._in_run(order.run)
        self._work.account.stage(stage.name)
        place = Place(order.rank, order.nodes, order.address, order.port)
        fault = self._attempts.run(stage, order.attempt, place, self._link.peers(order)).fault
        own = fault if fault and fault.cause not in (PEER_LOST, TERMINATED) else None
        self._link.end(order, self._ending(fault), own)
        if fault:
            self._work.account.fault(fault, order.restarts)
        if fault and not own and not self._is_done(stage):  # node 0 may end it before our ranks have quite ended
            self._work.account.notice(f"{fault.message} This node waits for the next attempt.")
        return own

    def _ending(self, fault: Fault | None) -> Ending:
        if fault is None:
            return "stopped" if self._work.interruption.count else "done"
        return {PEER_LOST: "lost", TERMINATED: "stopped"}.get(fault.cause, "failed")  # type: ignore[return-value]

    def _in_run(self, uri: str) -> None:
        """Node 0's run is the run, even if the data has changed since it listed it."""
        if uri != self._work.store.uri:
            self._work = replace(self._work, store=open_store(uri, self._work.job.spec.storage))
            self._attempts = Attempts(self._work)

    def _waits_for(self, order: Order, stage: Stage) -> str:
        host = self._work.node.host if self._work.node else ""
        if trouble := self._link.trouble:
            return f"node 0 ({host}), which {trouble}"
        if order.waiting:
            return order.waiting
        if order.stage == stage.name:
            return "the next attempt"
        return f"node 0, which is in stage {order.stage}" if order.stage else "node 0 to begin"

    def _done_without(self, stage: Stage) -> bool:
        """Whether the stage's marker is there though node 0 isn't: it may have ended since."""
        now = time.monotonic()
        if not self._link.trouble or now - self._looked < _LOOK_SECONDS:
            return False
        self._looked = now
        return self._is_done(stage)

    def _is_done(self, stage: Stage) -> bool:
        with suppress(TrainyardError):  # storage, too, may be out of reach for a while
            return self._work.store.head(stage.marker) is not None
        return False

    def _outcome(self, code: ExitCode, fault: Fault | None = None) -> Outcome:
        return Outcome(code, self._work.store, self._work.runtime, fault, self._link.order.restarts)
