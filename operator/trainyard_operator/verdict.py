"""How a job stands: phase, reason and message, from what was observed. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from trainyard_operator.elastic import members, needed, size, up
from trainyard_operator.faults import Account, PodFault
from trainyard_operator.names import pod_name
from trainyard_operator.pod import Pod, plain, word
from trainyard_operator.state import State

PAUSE = timedelta(seconds=10)
_LAST = timedelta(seconds=60)


@dataclass(frozen=True)
class Verdict:
    """How a job stands. `fault`: one that is new, and counts."""

    phase: str
    reason: str
    message: str
    fault: PodFault | None = None


def judge(state: State) -> Verdict:
    """How the job of `state`, which hasn't ended before, stands now."""
    if state.suspending:
        return _suspended(state)
    if state.trouble and not state.pods:
        return Verdict("Pending", state.trouble.reason, state.trouble.message)
    if state.spec is None:
        return Verdict(state.status.phase, "InvalidSpec", state.trouble.message if state.trouble else "")
    if state.succeeded:
        return _completed(state)
    return _overdue(state) or _faulty(state) or _running(state) or _waiting(state)


def _suspended(state: State) -> Verdict:
    left = [pod for pod in state.pods.values() if not pod.finished or pod.deleting]
    if state.pods:
        return Verdict("Suspending", "Suspending", f"{len(left)} nodes write a checkpoint and stop")
    return Verdict("Suspended", "Suspended", "Set spec.suspend to false to go on from the last checkpoint.")


def _completed(state: State) -> Verdict:
    """The model is published once node 0 is done: no other pod matters any longer, and none is waited for long."""
    busy = [pod for pod in state.wanted if pod.phase == "Running" and not state.fault(pod)]
    if busy and state.now < complete_by(state) and not _overdue(state):
        return Verdict("Running", "Running", f"node 0 is done; {_names(busy)} to end")
    end = state.pods[0].end
    model = end.report.model if end and end.report else None
    return Verdict("Complete", "Completed", plain(f"The model is at {model.uri}" if model else "All nodes ended well."))


def complete_by(state: State) -> datetime:
    """Until when the others may end by themselves, once node 0 is done."""
    end = state.pods[0].end
    return (end.time if end and end.time else state.now - _LAST) + _LAST


def _overdue(state: State) -> Verdict | None:
    limit = state.spec.active_deadline_seconds if state.spec else None
    if limit is None or state.running_seconds() < limit:
        return None
    return Verdict(
        "Failed",
        "DeadlineExceeded",
        f"It has run for {int(state.running_seconds())} s and may for {limit} s (spec.activeDeadlineSeconds).",
    )


def _faulty(state: State) -> Verdict | None:
    """A fault that is new: the end, or one more restart. Faults that come together are one."""
    found = [fault for pod in members(state) if (fault := state.fault(pod)) and not state.counted(pod)]
    found.sort(key=lambda fault: (list(Account).index(fault.account), -fault.pod.index), reverse=True)
    if not found:
        return _vanished(state)
    worst = found[0]
    most, used = state.spec.recovery.max_restarts if state.spec else 0, state.status.restarts.user
    if worst.account == Account.FATAL:
        return Verdict("Failed", worst.cause, worst.message)
    if worst.account == Account.USER and used >= most:
        return Verdict("Failed", worst.cause, f"{worst.message} (all {most} restarts are used up)")
    return _restart(state, worst.account, worst.cause, worst.message, worst)


def _vanished(state: State) -> Verdict | None:
    """A pod that took part when the job ran, and is gone without ever having been seen to go."""
    gone = [index for index in range(state.nodes) if index not in state.pods]
    if state.status.phase != "Running" or not gone or len(members(state)) >= min(state.status.nodes, state.nodes):
        return None
    pod = Pod(pod_name(state.key.name, gone[0]), "", gone[0], 0, "Failed")
    lost = PodFault(pod, Account.INFRASTRUCTURE, "PodDeleted", f"{pod.name}: it was deleted")
    return _restart(state, lost.account, lost.cause, lost.message, lost)


def _restart(state: State, account: Account, cause: str, message: str, fault: PodFault) -> Verdict:
    counts = state.status.restarts
    most = state.spec.recovery.max_restarts if state.spec else 0
    if account == Account.USER:
        count = f"restart {counts.user + 1} of {most}"
    else:
        count = f"restart {counts.infrastructure + 1} for the infrastructure's faults, which have no limit"
    return Verdict("Restarting", cause, f"{message}; {count}, from the last checkpoint", fault)


def _running(state: State) -> Verdict | None:
    if len(up(state)) < needed(state) or up(state)[0].index > 0:  # without node 0 the others can only wait
        return None
    report = state.reports.get(state.pods[0].uid)
    if report is None:
        return Verdict("Running", "Running", _progress(state))
    culprit = _restarted(state)
    tells = report.stage == "train" or report.heartbeats  # a program without our SDK never tells of progress
    if culprit and tells and report.progress is None:
        return Verdict("Running", culprit[0], culprit[1])
    if report.waiting:
        return Verdict("Running", "WaitingForNodes", plain(f"{state.pods[0].name} waits {report.waiting}"))
    return Verdict("Running", "Running", _progress(state))


def _restarted(state: State) -> tuple[str, str] | None:
    """Cause and message of a restart in place, which a launcher of one of the pods tells of."""
    for pod in up(state):
        report = state.reports.get(pod.uid)
        if report and report.fault and report.fault.cause != "PeerLost":
            most = state.spec.recovery.max_restarts if state.spec else 0
            count = f"restart {report.restarts} of {most} in place, from the last checkpoint"
            rank = f", rank {report.fault.rank}" if report.fault.rank is not None else ""
            return word(report.fault.cause), plain(
                f"{pod.name} on {pod.node}{rank}: {report.fault.message} {count}", 1024
            )
    return None


def _progress(state: State) -> str:
    report = state.reports.get(state.pods[0].uid)
    hint = (
        ""
        if not report or report.heartbeats or report.stage != "script"
        else "; it sends no heartbeats: hangs aren't noticed"
    )
    doubted = [pod for pod in up(state) if state.doubted(pod)]
    if doubted:
        hint += f"; nothing is heard of {_names(doubted)}, nor of most nodes of the cluster: none is given up for that"
    return f"{len(up(state))} nodes run{hint}"


def _waiting(state: State) -> Verdict:
    """Some pod doesn't run yet: the one with the most to say is named."""
    count = f"{len(up(state))} of {needed(state)} nodes run"
    restarting = state.status.phase == "Restarting"
    after = f" (restarting after {state.status.restarts.last_cause})" if restarting else ""
    for refusal in state.refusals.values():
        phase = "Restarting" if restarting else "Pending"
        return Verdict(phase, refusal.reason, f"{count}; {refusal.message}{after}")
    waits = [(pod, pod.wait) for pod in state.wanted if pod.wait]
    waits.sort(key=lambda item: (item[1].reason == "Starting", item[0].index))
    missing = [index for index in range(state.nodes) if index not in state.pods]
    if restarting and not (waits and waits[0][1].reason != "Starting"):
        return Verdict("Restarting", state.status.reason, state.status.message)
    if not waits:
        what = f"waiting for node {missing[0]} of {state.nodes}" if missing else "waiting for pods that end"
        return Verdict("Restarting" if restarting else "Pending", "Starting", f"{count}; {what}{after}")
    pod, wait = waits[0]
    placed = pod.node is not None and not missing
    phase = "Restarting" if restarting else "Starting" if placed else "Pending"
    room = ", others make room for it" if size(state) < state.nodes and pod.index == 0 else ""
    where = f" on {pod.node}" if pod.node else ""
    return Verdict(phase, wait.reason, f"{count}; {pod.name}{where}: {wait.message}{room}{after}")


def _names(pods: list[Pod]) -> str:
    return ", ".join(pod.name for pod in pods[:3]) + (f" and {len(pods) - 3} more" if len(pods) > 3 else "")


def restart_at(last: datetime | None, now: datetime) -> datetime:
    """When pods are made anew after a fault: at once, but 10 s later if the last one is less than a minute old."""
    return now + PAUSE if last and now - last < timedelta(seconds=60) else now
