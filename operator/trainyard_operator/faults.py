"""Why a pod is lost to its job, and on whose account that goes."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from trainyard_api.errors import ExitCode
from trainyard_operator.pod import End, Pod, plain, word

_PREEMPTION = {"PreemptionByScheduler": "Preempted", "TerminationByKubelet": "NodeShutdown"}
_EVICTION = {"EvictionByEvictionAPI": "Evicted", "DeletionByTaintManager": "Evicted", "DeletionByPodGC": "NodeLost"}
# The kubelet's words for pods that it ended, never took in (OutOf..., too), or lost, for reasons of its own.
_KUBELET = {
    "Evicted",
    "Preempting",
    "Terminated",
    "NodeShutdown",
    "NodeAffinity",
    "UnexpectedAdmissionError",
    "NodeLost",
    "Shutdown",
    "TopologyAffinityError",
    "ContainerStatusUnknown",
    "Unknown",
}


class Account(StrEnum):
    """Who answers for a fault."""

    INFRASTRUCTURE = "infrastructure"  # replaced without limit
    USER = "user"  # counts against recovery.maxRestarts
    FATAL = "fatal"  # no retry helps


@dataclass(frozen=True)
class PodFault:
    """One pod's fault, in words."""

    pod: Pod
    account: Account
    cause: str
    message: str


def fault_of(pod: Pod, lost_since: datetime | None, patience: timedelta, now: datetime) -> PodFault | None:
    """Why `pod` has to be replaced, or ends its job; None if nothing is wrong with it.

    `lost_since`: since when its node has been silent, if it is; `patience`: how long that is borne.
    """
    if pod.phase == "Failed":
        return _failed(pod)
    if pod.phase == "Succeeded":
        return None
    if lost_since and now - lost_since >= patience:
        seconds = int((now - lost_since).total_seconds())
        return _told(pod, Account.INFRASTRUCTURE, "NodeLost", f"node {pod.node} hasn't answered for {seconds} s")
    if pod.deleting:
        cause = _disrupted(pod) or "PodDeleted"
        return _told(pod, Account.INFRASTRUCTURE, cause, _WORDS.get(cause, "it was deleted"))
    return None


_WORDS = {
    "Preempted": "a pod of higher priority took its place",
    "Evicted": "it was evicted",
    "NodeShutdown": "its node shuts down",
    "NodeLost": "its node is gone",
}


def _disrupted(pod: Pod) -> str | None:
    return pod.disruption and ({**_PREEMPTION, **_EVICTION}.get(pod.disruption) or "Evicted")


def _failed(pod: Pod) -> PodFault:
    end = pod.end or End(None, "", "", None)
    if cause := _disrupted(pod):
        return _told(pod, Account.INFRASTRUCTURE, cause, _WORDS[cause])
    if end.reason == "DeadlineExceeded":
        return _told(pod, Account.FATAL, "DeadlineExceeded", "it ran for longer than its activeDeadlineSeconds")
    if end.exit_code is None or end.reason in _KUBELET or end.reason.startswith("OutOf"):
        cause = word(end.reason) if end.reason else "NodeLost"
        return _told(pod, Account.INFRASTRUCTURE, cause, end.message or "the kubelet ended it")
    if end.reason == "OOMKilled":
        what = "it used more memory than its limit; raise template.resources.limits.memory, or lower the batch size"
        return _told(pod, Account.USER, "OutOfMemory", what)
    said = end.report.fault if end.report else None
    account = {
        ExitCode.FAILED: Account.FATAL if end.report else Account.USER,  # the launcher has used up its restarts
        ExitCode.INVALID: Account.FATAL,
        ExitCode.INFRASTRUCTURE: Account.INFRASTRUCTURE,
        ExitCode.TERMINATED: Account.INFRASTRUCTURE,
    }.get(ExitCode(end.exit_code) if end.exit_code in set(ExitCode) else ExitCode.OK, Account.USER)
    if said:
        rank = f"rank {said.rank}: " if said.rank is not None else ""
        where = f"({said.where})" if "://" in (said.where or "") else ""  # else it's a place in the pod
        words = " ".join(filter(None, (said.message, where, said.remedy)))
        return _told(pod, account, word(said.cause), rank + words)
    if end.exit_code == ExitCode.TERMINATED:
        return _told(pod, account, "Terminated", "it was told to stop (SIGTERM) by somebody else")
    cause = "Killed" if end.exit_code == 137 else "UserError"
    last = f": {end.message}" if end.message else ""
    return _told(pod, account, cause, f"it ended with exit code {end.exit_code}{last}")


def _told(pod: Pod, account: Account, cause: str, text: str) -> PodFault:
    where = f"{pod.name} on {pod.node}" if pod.node else pod.name
    return PodFault(pod, account, cause, plain(f"{where}: {text}", 1024))
