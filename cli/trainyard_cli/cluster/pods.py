"""What a pod does, in the words of `kubectl get pods`."""

from trainyard_cli.cluster.connection import Object


def container_status(pod: Object, name: str) -> Object:
    """Status of one container; {} before it is known."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return next((status for status in statuses if status.get("name") == name), {})


def state_of(pod: Object, container: str) -> str:
    """Terminating, Unschedulable, ImagePullBackOff, Running, OOMKilled (exit code 137), ..."""
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    state = container_status(pod, container).get("state") or {}
    if ended := state.get("terminated"):
        return f"{ended.get('reason') or 'Ended'} (exit code {ended.get('exitCode')})"
    for other in status.get("initContainerStatuses") or []:
        if waiting := (other.get("state") or {}).get("waiting"):
            return f"Init: {waiting.get('reason')}"
    if waiting := state.get("waiting"):
        return str(waiting.get("reason") or "Waiting")
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return str(condition.get("reason") or "Unschedulable")
    return str(status.get("reason") or status.get("phase") or "Pending")


def has_started(pod: Object, container: str) -> bool:
    """Whether the container has begun, so that there is a log."""
    state = container_status(pod, container).get("state") or {}
    return "running" in state or "terminated" in state


def has_ended(pod: Object, container: str) -> bool:
    """Whether the container prints nothing more: pods of a job are never restarted in place."""
    phase = (pod.get("status") or {}).get("phase")
    state = container_status(pod, container).get("state") or {}
    return "terminated" in state or phase in ("Succeeded", "Failed")
