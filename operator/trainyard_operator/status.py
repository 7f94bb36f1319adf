"""The status of a job: a pure function of the last one and of what is observed now."""

from typing import Any, Literal

from trainyard_api.documents import NodeReport
from trainyard_api.status import Condition, ModelStatus, Progress, RestartCounts, Status
from trainyard_operator import clock
from trainyard_operator.elastic import needed, up
from trainyard_operator.faults import Account
from trainyard_operator.names import JOB_LABEL
from trainyard_operator.pod import plain, word
from trainyard_operator.state import State, end_of
from trainyard_operator.verdict import Verdict, judge, restart_at

MOVING = ("Pending", "Starting", "Restarting", "Suspending")


def next_status(state: State) -> Status:
    """The status to be written, the same as the last one if nothing has changed. It never takes back an end."""
    if not state.readable:
        return state.status
    if ended := end_of(state.status):
        return state.status.model_copy(update={"observed_generation": state.generation, "phase": ended})
    verdict = judge(state)
    last = state.status
    return last.model_copy(
        update={
            "observed_generation": state.generation,
            "phase": verdict.phase,
            "reason": verdict.reason,
            "message": verdict.message,
            "conditions": _conditions(state, verdict),
            "nodes": _nodes(state, verdict),
            "nodes_ready": sum(pod.ready for pod in state.wanted) if verdict.phase not in ("Complete", "Failed") else 0,
            "unschedulable_since": _unschedulable_since(state),
            "selector": f"{JOB_LABEL}={state.key.name}",
            "restarts": _restarts(state, verdict),
            "runtime": state.runtime or last.runtime,
            **_times(state, verdict),
            **_reported(state),
        }
    )


def _nodes(state: State, verdict: Verdict) -> int:
    if verdict.phase in ("Complete", "Failed"):
        return state.status.nodes
    return len(up(state)) if verdict.phase == "Running" else len(state.wanted)


def _unschedulable_since(state: State) -> str | None:
    if not any(pod.wait and pod.wait.reason == "Unschedulable" for pod in state.wanted):
        return None
    return clock.since(state.status.unschedulable_since, state.now)


def _restarts(state: State, verdict: Verdict) -> RestartCounts:
    last = state.status.restarts
    told = [report for pod in state.wanted if (report := state.reports.get(pod.uid))]
    told += [pod.end.report for pod in state.wanted if pod.end and pod.end.report]
    newest = max(told, key=_telling, default=None)
    most = state.spec.recovery.max_restarts if state.spec else 0  # a pod that claims more isn't believed
    claimed = min(newest.restarts, most) if newest else 0
    update: dict[str, object] = {}
    if newest and claimed > last.user:
        update["user"] = claimed
        if newest.fault:
            update["last_cause"] = word(newest.fault.cause)
    if verdict.phase == "Restarting" and verdict.fault:
        account = "user" if verdict.fault.account == Account.USER else "infrastructure"
        again = restart_at(clock.parse(last.last_time), state.now)
        update |= {
            account: min(most, max(claimed, last.user) + 1) if account == "user" else last.infrastructure + 1,
            "attempt": last.attempt + 1,
            "last_time": clock.milliseconds(again),
            "last_cause": verdict.reason,
        }
    return last.model_copy(update=update) if update else last


def _telling(report: NodeReport) -> tuple[int, bool]:
    """Of those that tell of the same restart, who was at fault knows more than who lost a peer by it."""
    return report.restarts, bool(report.fault and report.fault.cause != "PeerLost")


def _times(state: State, verdict: Verdict) -> dict[str, object]:
    """Running time is counted while all nodes run."""
    last = state.status
    times: dict[str, object] = {}
    if verdict.phase == "Running":
        times["start_time"] = last.start_time or clock.seconds(state.now)
        times["running_since"] = clock.since(last.running_since, state.now)
    elif last.running_since:
        times |= {"running_since": None, "running_seconds": int(state.running_seconds())}
    if verdict.phase in ("Complete", "Failed"):
        times["completion_time"] = clock.seconds(state.now)
    return times


def _reported(state: State) -> dict[str, object]:
    """What node 0 says of progress, checkpoint and model; what it said last outlives it."""
    first = state.pods.get(0) or state.last_pod
    report = first and ((first.end and first.end.report) or state.reports.get(first.uid))
    if not report:
        return {}
    found = {"progress": _short(report.progress), "checkpoint": report.checkpoint, "model": report.model}
    return {name: value if name == "progress" else _plain(value) for name, value in found.items() if value is not None}


def _plain(value: Any) -> Any:
    """A part of a report without control characters: what a pod says ends up in terminals."""
    fields: dict[str, object] = {name: plain(text, len(text)) for name, text in value if isinstance(text, str)}
    if isinstance(value, ModelStatus):
        fields["metrics"] = {plain(name, 256): number for name, number in value.metrics.items()}
    return value.model_copy(update=fields)


def _short(progress: Progress | None) -> Progress | None:
    """As many digits as a person reads in a table."""
    if progress is None:
        return None
    update = {"samples_per_second": float(f"{progress.samples_per_second:.4g}")}
    if progress.loss is not None:
        update["loss"] = float(f"{progress.loss:.4g}")
    return progress.model_copy(update=update)


def _conditions(state: State, verdict: Verdict) -> list[Condition]:
    """Reconciling and Stalled are what kstatus reads; the rest are for `kubectl wait`."""
    true = {
        "Reconciling": verdict.phase in MOVING,
        "Stalled": verdict.phase == "Failed",
        "Running": verdict.phase == "Running" and len(up(state)) >= needed(state),
        "Suspended": verdict.phase == "Suspended",
        "Complete": verdict.phase == "Complete",
        "Failed": verdict.phase == "Failed",
    }
    last = {each.type: each for each in state.status.conditions}
    conditions = []
    for name, holds in true.items():
        value: Literal["True", "False"] = "True" if holds else "False"
        before = last.get(name)
        conditions.append(
            Condition(
                type=name,
                status=value,
                reason=verdict.reason if holds else f"Not{name}",
                message=verdict.message if holds else "",
                lastTransitionTime=before.last_transition_time
                if before and before.status == value
                else clock.seconds(state.now),
            )
        )
    return conditions


def without_progress(status: Status) -> Status:
    """`status` without what changes all the time; equal to another's: nothing but progress was made."""
    step = Progress() if status.progress else None
    return status.model_copy(update={"progress": step, "checkpoint": None})
