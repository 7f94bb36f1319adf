"""What is known of one job at one moment: all that a decision about it may depend on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from trainyard_api.documents import NodeReport, ResolvedJob
from trainyard_api.job import JobSpec
from trainyard_api.status import Status
from trainyard_operator import clock
from trainyard_operator.faults import PodFault, fault_of
from trainyard_operator.names import Key
from trainyard_operator.nodes import Nodes, blackout, silent_since
from trainyard_operator.pod import Pod

FINAL = ("Complete", "Failed")


def end_of(status: Status) -> str | None:
    """Complete or Failed, if that is how the job has ended; None: it goes on. Its phase is a word for people alone."""
    return next((each.type for each in status.conditions if each.type in FINAL and each.status == "True"), None)


@dataclass(frozen=True)
class Trouble:
    """Why nothing can be made of a job for now: a reason, and a message with what to do about it."""

    reason: str
    message: str


@dataclass(frozen=True)
class State:
    """A job, its children, and the moment; nothing here changes."""

    key: Key
    raw: dict[str, Any] = field(repr=False)  # the TrainingJob as it came
    now: datetime
    status: Status  # as it was written last
    spec: JobSpec | None = None  # with the runtime's presets; None: it can't be read
    resolved: ResolvedJob | None = None  # None: see trouble
    runtime: str | None = None  # name of the presets in `spec`
    runtime_json: str = "{}"  # their snapshot
    trouble: Trouble | None = None
    pods: Mapping[int, Pod] = field(default_factory=dict)  # by index
    last_pod: Pod | None = None  # node 0's last one that is gone
    nodes_known: Nodes = field(default_factory=dict)  # empty where the operator may not see them
    service: dict[str, Any] | None = None
    config_map: dict[str, Any] | None = None
    pod_group: dict[str, Any] | None = None  # as it was when it was made: it isn't watched
    refusals: Mapping[str, Trouble] = field(
        default_factory=dict
    )  # what came of the last try, by the child's kind and name
    reports: Mapping[str, NodeReport] = field(default_factory=dict)  # by the pod's UID
    readable: bool = True  # whether `status` could be read; else nothing may be done: the job may have ended

    @property
    def uid(self) -> str:
        """Of the job."""
        return str(self.raw["metadata"]["uid"])

    @property
    def generation(self) -> int:
        """Of the job's spec."""
        return int(self.raw["metadata"].get("generation", 1))

    @property
    def final(self) -> bool:
        """Whether the job has ended, for ever."""
        return bool(end_of(self.status))

    @property
    def suspending(self) -> bool:
        """Whether pods have to go, or are going still, because the job is or was suspended."""
        asked = bool(self.spec and self.spec.suspend)
        return asked or (self.status.phase == "Suspending" and any(pod.deleting for pod in self.pods.values()))

    @property
    def nodes(self) -> int:
        """How many nodes are wanted."""
        return self.spec.nodes if self.spec else 0

    @property
    def wanted(self) -> list[Pod]:
        """Pods within the wanted size, by index."""
        return [self.pods[index] for index in sorted(self.pods) if index < self.nodes]

    @property
    def succeeded(self) -> bool:
        """Whether node 0, which does everything that comes last, is done."""
        return 0 in self.pods and self.pods[0].phase == "Succeeded"

    def silent_since(self, pod: Pod) -> datetime | None:
        """Since when nobody hears of the pod's node. What is known of the node itself goes before the pod's word."""
        if pod.node and pod.node in self.nodes_known:
            return silent_since(self.nodes_known, pod.node)
        return pod.unheard_since

    def doubted(self, pod: Pod) -> bool:
        """Whether the pod's node is silent, and that isn't believed."""
        node = self.nodes_known.get(pod.node or "")
        return bool(node and node.silent) and blackout(self.nodes_known)

    def fault(self, pod: Pod) -> PodFault | None:
        """What is wrong with `pod`, if anything."""
        patience = timedelta(seconds=self.spec.recovery.node_loss_seconds if self.spec else 0)
        return fault_of(pod, self.silent_since(pod), patience, self.now)

    def counted(self, pod: Pod) -> bool:
        """Whether a fault of `pod` belongs to a restart that has been counted and isn't over."""
        return self.status.phase == "Restarting" and pod.attempt < self.status.restarts.attempt

    def running_seconds(self) -> float:
        """Running time over all attempts; never less than what was counted, whichever way the clock is set."""
        since = clock.parse(self.status.running_since) or self.now
        return self.status.running_seconds + max(0.0, (self.now - since).total_seconds())
