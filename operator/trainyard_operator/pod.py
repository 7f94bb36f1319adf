"""What the operator makes of a pod: read once, believing nothing that the pod itself says without a check."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from trainyard_api.documents import NodeReport
from trainyard_operator import clock
from trainyard_operator.names import ATTEMPT_LABEL, CONTAINER

REPORT_BYTES = 16 * 1024
_TEXT = 512
_IMAGE = {
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
}


@dataclass(frozen=True)
class Wait:
    """Why a pod doesn't run yet."""

    reason: str
    message: str
    since: datetime | None = None  # where no node is found for it


@dataclass(frozen=True)
class End:
    """How the trainer of a pod ended, or the pod as a whole if it has none that ended."""

    exit_code: int | None  # None: the kubelet ended the pod
    reason: str  # the kubelet's word: OOMKilled, Error, Evicted, DeadlineExceeded
    message: str  # the kubelet's or the program's last words
    report: NodeReport | None
    time: datetime | None = None


@dataclass(frozen=True)
class Pod:
    """A pod of ours."""

    name: str
    uid: str
    index: int
    attempt: int  # restarts there had been when it was made
    phase: str
    node: str | None = None
    ip: str | None = None
    host_network: bool = False
    ready: bool = False
    deleting: bool = False
    started: datetime | None = None
    disruption: str | None = None  # why somebody evicts it, by Kubernetes' own word
    unheard_since: datetime | None = None  # the node doesn't report its containers, which were well
    ends_after: int | None = None  # its activeDeadlineSeconds
    wait: Wait | None = None
    end: End | None = None

    @property
    def finished(self) -> bool:
        """Whether it will never run again."""
        return self.phase in ("Succeeded", "Failed")


def read_pod(pod: dict[str, Any], index: int) -> Pod:
    """`pod`, the one with this index, as it came from the API server."""
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    labels = metadata.get("labels") or {}
    conditions = {each["type"]: each for each in status.get("conditions") or []}
    ready = conditions.get("Ready", {})
    disruption = conditions.get("DisruptionTarget", {})
    phase = status.get("phase") or "Pending"
    end = _end(status) if phase in ("Succeeded", "Failed") else None
    if end and end.exit_code == 0:
        phase = "Succeeded"  # it is called Failed if a sidecar ended badly
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        index=index,
        attempt=_number(labels.get(ATTEMPT_LABEL)),
        phase=phase,
        node=spec.get("nodeName"),
        ip=status.get("podIP"),
        host_network=bool(spec.get("hostNetwork")),
        ready=ready.get("status") == "True",
        deleting="deletionTimestamp" in metadata,
        started=clock.parse(status.get("startTime")),
        disruption=disruption.get("reason") if disruption.get("status") == "True" else None,
        unheard_since=_unheard_since(ready, status) if phase == "Running" else None,
        ends_after=spec.get("activeDeadlineSeconds"),
        wait=_wait(spec, status, conditions) if phase == "Pending" else None,
        end=end,
    )


def read_report(text: str | bytes) -> NodeReport | None:
    """What a launcher says of itself; None if it's nothing a launcher would say."""
    try:
        return NodeReport.model_validate_json(text) if len(text) <= REPORT_BYTES else None
    except ValidationError:
        return None


def plain(text: str, most: int = _TEXT) -> str:
    """`text` in one line without control characters, at most `most` characters."""
    line = " ".join(text.split())
    line = "".join(letter for letter in line if unicodedata.category(letter)[0] != "C")
    return line if len(line) <= most else f"{line[: most - 4]} ..."


def word(cause: str) -> str:
    """A cause that a pod claims, fit to be a condition's reason."""
    name = "".join(letter for letter in cause if letter.isascii() and letter.isalnum())[:60]
    return name if name[:1].isalpha() else "UserError"


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 0


def _unheard_since(ready: dict[str, Any], status: dict[str, Any]) -> datetime | None:
    """Kubernetes sets a silent node's pods to unready, and leaves what the kubelet last said of their containers."""
    containers = status.get("containerStatuses") or []
    well = containers and all(each.get("ready") for each in containers)
    if well and ready.get("status") == "False" and ready.get("reason") != "ReadinessGatesNotReady":
        return clock.parse(ready.get("lastTransitionTime"))
    return None


def _wait(spec: dict[str, Any], status: dict[str, Any], conditions: dict[str, Any]) -> Wait:
    scheduled = conditions.get("PodScheduled", {})
    if spec.get("schedulingGates") or scheduled.get("reason") == "SchedulingGated":
        gates = ", ".join(plain(str(gate.get("name")), 100) for gate in spec.get("schedulingGates") or [])
        return Wait("WaitingForQuota", f"held back by {gates or 'a scheduling gate'}")
    if scheduled.get("status") == "False":
        message = plain(scheduled.get("message") or "the scheduler finds no node for it")
        return Wait("Unschedulable", message, clock.parse(scheduled.get("lastTransitionTime")))
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, message = str(waiting.get("reason") or ""), plain(str(waiting.get("message") or ""))
        if reason in _IMAGE:
            image = plain(str(container.get("image") or ""), 200)
            return Wait("ImagePull", f"image {image} can't be pulled ({reason}): {message}")
        if reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
            kind = "MissingConfig" if reason == "CreateContainerConfigError" else "ContainerError"
            return Wait(kind, f"its container can't be made: {message}")
    return Wait("Starting", "its container is being made" if spec.get("nodeName") else "it waits for a node")


def _end(status: dict[str, Any]) -> End:
    """The trainer's end; another container's only where the trainer never ran: what is put beside it isn't the job."""
    containers = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
    ends = [(each.get("name"), ended) for each in containers if (ended := (each.get("state") or {}).get("terminated"))]
    own = [ended for name, ended in ends if name == CONTAINER] or [ended for _, ended in ends if ended.get("exitCode")]
    if not own:
        return End(None, str(status.get("reason") or ""), plain(str(status.get("message") or "")), None)
    text = str(own[0].get("message") or "")
    lines = [line for line in text.splitlines() if line.strip()]
    return End(
        exit_code=int(own[0].get("exitCode") or 0),
        reason=str(status.get("reason") or own[0].get("reason") or ""),
        message=plain(str(status.get("message") or (lines[-1] if lines else ""))),
        report=read_report(text),
        time=clock.parse(own[0].get("finishedAt")),
    )
