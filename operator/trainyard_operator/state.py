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
from trainyard_operator.pod import Pod

FINAL = ("Complete", "Failed")


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
    silent_nodes: Mapping[str, datetime] = field(default_factory=dict)  # since when
    service: dict[str, Any] | None = None
    config_map: dict[str, Any] | None = None
    pod_group: dict[str, Any] | None = None  # as it was when it was made: it isn't watched
    refusals: Mapping[str, Trouble] = field(
        default_factory=dict
    )  # what came of the last try, by the child's kind and name
    reports: Mapping[str, NodeReport] = field(default_factory=dict)  # by the pod's UID

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
        return any(each.type in FINAL and each.status == "True" for each in self.status.conditions)

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
        """Since when nobody hears of the pod's node."""
        return self.silent_nodes.get(pod.node or "") or pod.unheard_since

    def fault(self, pod: Pod) -> PodFault | None:
        """What is wrong with `pod`, if anything."""
        patience = timedelta(seconds=self.spec.recovery.node_loss_seconds if self.spec else 0)
        return fault_of(pod, self.silent_since(pod), patience, self.now)

    def counted(self, pod: Pod) -> bool:
        """Whether a fault of `pod` belongs to a restart that has been counted and isn't over."""
        return self.status.phase == "Restarting" and pod.attempt < self.status.restarts.attempt

    def running_seconds(self) -> float:
        """Running time over all attempts."""
        since = clock.parse(self.status.running_since)
        return self.status.running_seconds + ((self.now - since).total_seconds() if since else 0.0)
