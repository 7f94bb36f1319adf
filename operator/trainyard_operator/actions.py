"""What can be done to a job's objects: planned in `plan.py`, done in `execute.py`."""

from dataclasses import dataclass

from trainyard_operator.api import PODS, Object, Resource


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
    uid: str
    after_seconds: int  # of its life


Action = Create | Apply | Delete | EndPod


def child(action: Action) -> str:
    """What `action` is about: `Pod digits-0`."""
    match action:
        case EndPod():
            return f"{PODS.kind} {action.name}"
        case Delete():
            return f"{action.resource.kind} {action.name}"
        case _:
            return f"{action.resource.kind} {action.body['metadata']['name']}"
