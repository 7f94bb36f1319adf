"""From a resolved job to a finished run, or to one plain fault."""

import math
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from trainyard_api.documents import ResolvedJob
from trainyard_api.errors import ExitCode
from trainyard_launcher.account import Account
from trainyard_launcher.attempts import only_one
from trainyard_launcher.deadline import Deadline
from trainyard_launcher.gang.gang import Gang
from trainyard_launcher.gang.link import Link, poll_seconds
from trainyard_launcher.gang.service import serve_gang
from trainyard_launcher.identity import run_store
from trainyard_launcher.interruption import Interruption
from trainyard_launcher.lead import Lead
from trainyard_launcher.member import Member
from trainyard_launcher.node import RENDEZVOUS_PORT, Node
from trainyard_launcher.observer import Observer
from trainyard_launcher.patience import PATIENCE_SECONDS, patiently
from trainyard_launcher.preflight import preflight
from trainyard_launcher.runtime import sweep
from trainyard_launcher.source import program_folder
from trainyard_launcher.stages import REPORT, Stage, stages_of
from trainyard_launcher.work import Outcome, Work, runtime_folder
from trainyard_storage import Store


def launch(job: ResolvedJob, observer: Observer | None = None, node: Node | None = None) -> Outcome:
    """Run what is left of `job` here: all of it on one machine and on node 0, else what has ranks.

    Call it from the main thread: SIGINT and SIGTERM are passed on to the ranks. Raises TrainyardError for what is wrong
    before anything is started; a fault later is in the Outcome.
    """
    account = observer if isinstance(observer, Account) else Account(observer or Observer())
    with ExitStack() as afterwards:
        outcome = _launch(job, account, node, afterwards)
        account.close(outcome.code, outcome.fault, outcome.runtime, in_pod=node is not None)
    return outcome


def _launch(job: ResolvedJob, account: Account, node: Node | None, afterwards: ExitStack) -> Outcome:
    seconds = PATIENCE_SECONDS if node else 0.0  # a pod's network may come a little later than the pod
    store = patiently(lambda: run_store(job, node), account.waiting, seconds)
    runtime = runtime_folder(store)
    account.follow(runtime)
    stages = stages_of(job)
    if patiently(lambda: _nothing_left(store, stages, node), account.waiting, seconds):
        account.published(store)
        return Outcome(ExitCode.OK, store, runtime, repeated=True)
    folder = patiently(lambda: program_folder(job, runtime), account.waiting, seconds)
    patiently(lambda: preflight(job, store, folder, in_pod=node is not None), account.waiting, seconds)
    account.waiting("")
    with ExitStack() as stack:
        for place in _lock_folders(store, runtime, node):
            stack.enter_context(only_one(place, store.uri))
        stack.callback(sweep, runtime)
        stack.callback(account.report)  # before that it takes note of the last checkpoint
        interruption = stack.enter_context(Interruption())
        # On a cluster the operator measures: over all attempts, and without the time that a job was suspended.
        deadline = Deadline(None if node else job.spec.active_deadline_seconds)
        work = Work(job, store, runtime, folder, interruption, account, deadline, afterwards, node)
        if node is None or job.nodes == 1:
            return Lead(work, None).run(stages)
        if node.leads:
            gang = _gang(work)
            stack.callback(serve_gang(gang, node.address, RENDEZVOUS_PORT).close)
            return Lead(work, gang).run(stages)
        link = Link(
            node.host,
            RENDEZVOUS_PORT,
            job.uid,
            node.index,
            nodes=job.nodes,
            lost_seconds=_lost_seconds(job),
            restarts=node.restarts,
        )
        return Member(work, stack.enter_context(link)).run(_with_ranks(stages))


def _nothing_left(store: Store, stages: list[Stage], node: Node | None) -> bool:
    if node is None or node.leads:
        return bool(store.head(stages[-1].marker) and store.head(REPORT.marker))
    return store.head(_with_ranks(stages).marker) is not None


def _with_ranks(stages: list[Stage]) -> Stage:
    return next(stage for stage in stages if stage.ranks)


def _lock_folders(store: Store, runtime: Path, node: Node | None) -> Iterator[Path]:
    """Where runs of one job meet: on this machine, and in the run folder if it's a folder.

    The nodes of a job have that in common; of those, an old node 0 is kept out by its attempt's number.
    """
    yield runtime
    if node is None and store.uri.startswith("file://"):
        yield Path(store.uri.removeprefix("file://"))


def _gang(work: Work) -> Gang:
    spec, most = work.job.spec, work.job.nodes
    return Gang(
        work.job.uid,
        work.store.uri,
        secrets.token_hex(8),
        fewest=spec.elastic.min_nodes if spec.elastic else most,
        most=most,
        usual=spec.nodes,
        lost_seconds=_lost_seconds(work.job),
        shrink_seconds=spec.elastic.shrink_after_seconds if spec.elastic else math.inf,
    )


def _lost_seconds(job: ResolvedJob) -> float:
    return max(float(job.spec.recovery.node_loss_seconds), 5 * poll_seconds(job.nodes))
