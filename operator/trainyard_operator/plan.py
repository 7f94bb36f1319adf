"""What is to be done now so that the cluster becomes what the job asks for. Pure."""

from dataclasses import dataclass, replace
from datetime import timedelta

from trainyard_api.status import Status
from trainyard_operator import clock
from trainyard_operator.api import CONFIG_MAPS, PODS, SERVICES, Resource
from trainyard_operator.children import Object, config_map, covers, pod_group, service
from trainyard_operator.pod import Pod
from trainyard_operator.pods import Images, pod
from trainyard_operator.state import FINAL, State
from trainyard_operator.verdict import up


@dataclass(frozen=True)
class Create:
    """Make an object that isn't there."""

    resource: Resource
    body: Object


@dataclass(frozen=True)
class Apply:
    """Put the fields we own back as they should be."""

    resource: Resource
    body: Object


@dataclass(frozen=True)
class Delete:
    """Delete the object with this UID. `grace_seconds` 0: without waiting for its node."""

    resource: Resource
    name: str
    uid: str
    grace_seconds: int | None = None


@dataclass(frozen=True)
class EndPod:
    """Have the kubelet end a pod, so that it and its logs stay."""

    name: str
    after_seconds: int  # of its life


Action = Create | Apply | Delete | EndPod


@dataclass(frozen=True)
class Plan:
    """Actions, and in how many seconds to look again though nothing happens; None: not needed."""

    actions: list[Action]
    again: float | None = None


def plan(state: State, status: Status, images: Images) -> Plan:
    """What to do about `state`, whose new status is `status`."""
    if status.phase in FINAL:
        return _after_the_end(state, status)
    if state.suspending:
        return Plan([_delete(each) for each in state.pods.values() if not each.deleting] + _forced(state))
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
    """Pods that have to go: above the wanted size, on a silent node, or failed and to be replaced."""
    found: list[Action] = _forced(state)
    forced = {action.uid for action in found if isinstance(action, Delete)}
    for each in state.pods.values():
        above = each.index >= state.nodes
        if (above or _replaced(state, each)) and not each.deleting and each.uid not in forced:
            found.append(_delete(each))
    return found


def _replaced(state: State, each: Pod) -> bool:
    """Failed, and the job goes on: only `judge` lets it, so the fault has been counted."""
    return each.phase == "Failed" and not state.succeeded


def _forced(state: State) -> list[Action]:
    """Without a word from the node nobody else would ever confirm the deletion."""
    patience = timedelta(seconds=state.spec.recovery.node_loss_seconds if state.spec else 30)
    return [
        Delete(PODS, each.name, each.uid, grace_seconds=0)
        for each in state.pods.values()
        if (since := state.silent_since(each)) and state.now - since >= patience and not each.finished
    ]


def _pods(state: State, status: Status, images: Images) -> list[Action]:
    """Pods that are missing: never one that is still there in any form, so that no name has two."""
    if _held_back(state, status) > 0:
        return []
    counted = replace(state, status=status)  # pods carry the number of the attempt that begins with them
    return [Create(PODS, pod(counted, index, images)) for index in range(state.nodes) if index not in state.pods]


def _held_back(state: State, status: Status) -> float:
    """Seconds until pods may be made anew."""
    at = clock.parse(status.restarts.last_time) if status.phase == "Restarting" else None
    return (at - state.now).total_seconds() if at else 0.0


def _after_the_end(state: State, status: Status) -> Plan:
    """Pods and their logs stay until their time is over; what still runs is ended."""
    left = _left(state, status)
    if left is not None and left <= 0:
        group = ((SERVICES, state.service), (CONFIG_MAPS, state.config_map))
        names = [Delete(kind, it["metadata"]["name"], it["metadata"]["uid"]) for kind, it in group if it]
        return Plan([*(_delete(each) for each in state.pods.values() if not each.deleting), *names])
    running = [each for each in state.pods.values() if not each.finished and not each.deleting]
    ends: list[Action] = []
    for each in running:
        lived = int((state.now - each.started).total_seconds()) if each.started else 0
        if each.ends_after is None:
            ends.append(EndPod(each.name, max(1, lived)) if each.started else _delete(each))
    return Plan([*ends, *_forced(state)], left)


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
    waits = [_held_back(state, status)]
    since = clock.parse(status.running_since)
    if since and state.spec.active_deadline_seconds is not None:
        used = status.running_seconds + (state.now - since).total_seconds()
        waits.append(state.spec.active_deadline_seconds - used)
    for each in state.wanted:
        if silent := state.silent_since(each):
            patience = state.spec.recovery.node_loss_seconds
            waits.append((silent + timedelta(seconds=patience) - state.now).total_seconds())
    homeless = clock.parse(status.unschedulable_since)
    if homeless and state.spec.elastic and len(up(state)) < state.nodes:
        shrink = state.spec.elastic.shrink_after_seconds
        waits.append((homeless + timedelta(seconds=shrink) - state.now).total_seconds())
    due = [wait for wait in waits if wait > 0]
    return min(due) if due else None


def _delete(each: Pod) -> Delete:
    return Delete(PODS, each.name, each.uid)


def counts(status: Status, last: Status) -> bool:
    """Whether `status` counts something that must be on record before anything is done about it."""
    ends = status.phase in FINAL and last.phase not in FINAL
    return status.restarts.attempt != last.restarts.attempt or ends


def child(action: Action) -> str:
    """What `action` is about: `Pod digits-0`."""
    match action:
        case EndPod():
            return f"{PODS.kind} {action.name}"
        case Delete():
            return f"{action.resource.kind} {action.name}"
        case _:
            return f"{action.resource.kind} {action.body['metadata']['name']}"
