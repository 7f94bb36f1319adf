"""What is to be done now so that the cluster becomes what the job asks for. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from trainyard_api.status import Status
from trainyard_operator import clock
from trainyard_operator.actions import Action, Apply, Create, Delete, EndPod
from trainyard_operator.api import CONFIG_MAPS, PODS, SERVICES, Object
from trainyard_operator.children import config_map, covers, pod_group, service
from trainyard_operator.elastic import giving_way, next_gives_way, size, up
from trainyard_operator.pod import Pod
from trainyard_operator.pods import Images, pod
from trainyard_operator.state import State, end_of
from trainyard_operator.verdict import PAUSE, complete_by


@dataclass(frozen=True)
class Plan:
    """Actions, and in how many seconds to look again though nothing happens; None: not needed."""

    actions: list[Action]
    again: float | None = None


def plan(state: State, status: Status, images: Images) -> Plan:
    """What to do about `state`, whose new status is `status`."""
    if not state.readable:
        return Plan([])
    if end_of(status):
        return _after_the_end(state, status)
    if state.suspending:
        return Plan(_let_go(state, state.pods.values()), _next(_silences(state)))
    if state.resolved is None or (state.trouble and not state.pods):
        return Plan([])
    # Pods first: the kubelet waits for the ConfigMap, and schedulers take longer than the Service does.
    pods = [] if state.succeeded else _pods(state, status, images)
    return Plan([*pods, *_group(state), *_gone(state, status)], _again(state, status))


def _group(state: State) -> list[Action]:
    """The Service, the ConfigMap, and the PodGroup, without which a scheduler of gangs holds all pods back."""
    found: list[Action] = []
    for resource, live, desired in (
        (CONFIG_MAPS, state.config_map, config_map(state)),
        (SERVICES, state.service, service(state)),
    ):
        if live is None:
            found.append(Create(resource, desired))
        elif not covers(live, desired) or _narrowed(live, desired):
            found.append(
                Apply(resource, {**desired, "metadata": {**desired["metadata"], "uid": live["metadata"]["uid"]}})
            )
    gang = pod_group(state)
    if gang and not state.pod_group:
        found.append(Create(*gang))
    return found


def _narrowed(live: Object, desired: Object) -> bool:
    """Whether a Service selects by more than it should, and so finds no pod: here what others add isn't theirs."""
    return (live.get("spec") or {}).get("selector") != (desired.get("spec") or {}).get("selector")


def _gone(state: State, status: Status) -> list[Action]:
    """Pods that have to go: above the wanted size, on a silent node, in node 0's way, or failed and to be replaced."""
    in_the_way = giving_way(state)
    return _let_go(
        state,
        [
            each
            for each in state.pods.values()
            if each.index >= state.nodes or each == in_the_way or _replaced(state, each)
        ],
    )


def _replaced(state: State, each: Pod) -> bool:
    """Failed, and the job goes on: only `judge` lets it, so the fault has been counted."""
    return each.phase == "Failed" and not state.succeeded


def _let_go(state: State, pods: Iterable[Pod]) -> list[Action]:
    """Have `pods` deleted, and those given up whose nodes are silent."""
    lost = _lost(state)
    forced: list[Action] = [Delete(PODS, each.name, each.uid, grace_seconds=0) for each in lost]
    return forced + [_delete(each) for each in pods if not each.deleting and each not in lost]


def _lost(state: State) -> list[Pod]:
    """Pods of which nobody hears: without a word from the node nobody else would ever confirm their deletion."""
    return [each for each in state.pods.values() if (left := _silence(state, each)) is not None and left <= 0]


def _silences(state: State) -> list[float]:
    return [left for each in state.pods.values() if (left := _silence(state, each)) is not None]


def _silence(state: State, each: Pod) -> float | None:
    """Seconds until a pod is given up because its node is silent; None: it isn't, or what has ended is to stay."""
    patience = state.spec.recovery.node_loss_seconds if state.spec else 30
    if each.finished and not each.deleting:
        return None
    if state.doubted(each):
        return patience  # until then it may be believed
    since = state.silent_since(each)
    return None if since is None else (since - state.now).total_seconds() + patience


def _pods(state: State, status: Status, images: Images) -> list[Action]:
    """Pods that are missing: never one that is still there in any form, so that no name has two."""
    if _held_back(state, status) > 0:
        return []
    counted = replace(state, status=status)  # pods carry the number of the attempt that begins with them
    return [Create(PODS, pod(counted, index, images)) for index in range(size(state)) if index not in state.pods]


def _held_back(state: State, status: Status) -> float:
    """Seconds until pods may be made anew."""
    at = clock.parse(status.restarts.last_time) if status.phase == "Restarting" else None
    left = at - state.now if at else timedelta(0)
    return left.total_seconds() if left <= PAUSE else 0.0  # more: the clock has been set back


def _after_the_end(state: State, status: Status) -> Plan:
    """Pods and their logs stay until their time is over; what still runs is ended."""
    left = _left(state, status)
    if left is not None and left <= 0:
        group = ((SERVICES, state.service), (CONFIG_MAPS, state.config_map))
        names = [Delete(kind, it["metadata"]["name"], it["metadata"]["uid"]) for kind, it in group if it]
        return Plan([*_let_go(state, state.pods.values()), *names], _next(_silences(state)))
    running = [each for each in state.pods.values() if not each.finished]
    ends: list[Action] = []
    for each in running:
        lived = max(1, int((state.now - each.started).total_seconds())) if each.started else None
        if lived and not each.deleting and (each.ends_after is None or each.ends_after > lived):
            ends.append(EndPod(each.name, each.uid, lived))
    never_ran = [each for each in running if not each.started]
    return Plan([*ends, *_let_go(state, never_ran)], _next([*_silences(state), *([left] if left else [])]))


def _left(state: State, status: Status) -> float | None:
    """Seconds until an ended job's children are deleted."""
    ended = clock.parse(status.completion_time)
    keep = state.spec.ttl_seconds_after_finished if state.spec else None
    if ended is None or keep is None:
        return None
    return (ended + timedelta(seconds=keep) - state.now).total_seconds()


def _again(state: State, status: Status) -> float | None:
    """When something is due that no event will tell of."""
    assert state.spec is not None
    waits = [_held_back(state, status), *_silences(state)]
    if status.running_since and state.spec.active_deadline_seconds is not None:
        waits.append(state.spec.active_deadline_seconds - replace(state, status=status).running_seconds())
    if state.succeeded:
        waits.append((complete_by(state) - state.now).total_seconds())
    homeless = clock.parse(status.unschedulable_since)
    if homeless and state.spec.elastic and len(up(state)) < state.nodes:
        shrink = state.spec.elastic.shrink_after_seconds
        waits.append((homeless + timedelta(seconds=shrink) - state.now).total_seconds())
    if (room := next_gives_way(state)) is not None:
        waits.append(room)
    return _next(waits)


def _next(waits: Iterable[float]) -> float | None:
    """The first of the times, in seconds from now, that are still to come."""
    return min((wait for wait in waits if wait > 0), default=None)


def _delete(each: Pod) -> Delete:
    return Delete(PODS, each.name, each.uid)


def counts(status: Status, last: Status) -> bool:
    """Whether `status` counts something that must be on record before anything is done about it."""
    return status.restarts.attempt != last.restarts.attempt or end_of(status) != end_of(last)
