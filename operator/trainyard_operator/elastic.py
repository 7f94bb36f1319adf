"""Which nodes a job counts on: how many it needs, who takes part, and who gives way to node 0. Pure."""

from datetime import timedelta

from trainyard_operator import clock
from trainyard_operator.pod import Pod
from trainyard_operator.state import State


def up(state: State) -> list[Pod]:
    """Pods that run, or have ended well."""
    return [pod for pod in state.wanted if pod.phase in ("Running", "Succeeded") and not state.fault(pod)]


def needed(state: State) -> int:
    """Nodes without which the job is said to wait: fewer than wanted where elastic bounds allow it."""
    elastic = state.spec.elastic if state.spec else None
    if not elastic:
        return state.nodes
    homeless = sum(bool(pod.wait and pod.wait.reason == "Unschedulable") for pod in state.wanted)
    since = clock.parse(state.status.unschedulable_since)
    if homeless and since and state.now - since >= timedelta(seconds=elastic.shrink_after_seconds):
        return max(elastic.min_nodes, state.nodes - homeless)
    if state.status.phase == "Running":  # it goes on as it is while more come
        return max(elastic.min_nodes, min(state.nodes, state.status.nodes))
    return state.nodes


def members(state: State) -> list[Pod]:
    """Pods whose faults the job feels: while it runs, those that take part in it; before, all but those giving way."""
    if state.status.phase == "Running":
        return [pod for pod in state.wanted if pod.phase != "Pending"]
    return [pod for pod in state.wanted if not (pod.deleting and pod.index >= size(state))]


def size(state: State) -> int:
    """Pods that there should be: fewer than wanted while some give way to node 0, without which none can do anything.

    What gave way would take its place again if it came back at once.
    """
    elastic = state.spec.elastic if state.spec else None
    return elastic.min_nodes if elastic and (_patience(state) or 0) >= 1 else state.nodes


def giving_way(state: State) -> Pod | None:
    """The pod that is to give way to node 0 now: the highest, and one more with each `shrinkAfterSeconds`."""
    elastic, others = state.spec.elastic if state.spec else None, up(state)
    if not elastic or len(others) < elastic.min_nodes:
        return None
    away = sum(index not in state.pods or state.pods[index].deleting for index in range(1, state.nodes))
    return others[-1] if away < int(_patience(state) or 0) else None


def next_gives_way(state: State) -> float | None:
    """Seconds until one more may give way to node 0; None: that isn't needed."""
    elastic, patience = state.spec.elastic if state.spec else None, _patience(state)
    return elastic.shrink_after_seconds * (1 - patience % 1) if elastic and patience is not None else None


def _patience(state: State) -> float | None:
    """How many times `shrinkAfterSeconds` node 0 of an elastic job has found no place; None: it isn't so."""
    elastic = state.spec.elastic if state.spec else None
    wait = state.pods[0].wait if 0 in state.pods else None
    if not elastic or not wait or wait.reason != "Unschedulable":
        return None
    found_none = (state.now - (wait.since or state.now)).total_seconds()
    return max(0.0, found_none) / elastic.shrink_after_seconds
