"""Any history of a job at all: hypothesis chooses what happens, a cluster of a few lines does as it is told."""

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from support.cluster import Object, container, job
from trainyard_api.status import Status
from trainyard_operator import clock
from trainyard_operator.actions import Apply, Create, Delete, EndPod
from trainyard_operator.api import CONFIG_MAPS, JOBS, NODES, PODS, SERVICES, Resource
from trainyard_operator.index import Index
from trainyard_operator.names import Key
from trainyard_operator.observe import Observer
from trainyard_operator.plan import Plan, plan
from trainyard_operator.pods import Images
from trainyard_operator.state import State
from trainyard_operator.status import next_status

KEY = Key("default", "digits")


@dataclass
class Cluster:
    """Objects by kind and name. The operator's core is run on it, one write at a time, in whatever order."""

    moment: datetime = field(default_factory=lambda: datetime(2026, 11, 25, 8, tzinfo=UTC))
    objects: dict[tuple[Resource, str], Object] = field(default_factory=dict)
    created: list[tuple[str, str]] = field(default_factory=list)  # name and UID of every pod there ever was
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.index = Index(lambda key: None)
        self.observer = Observer(self.index, {})
        body = job("digits", "default", nodes=2, elastic={"minNodes": 1, "maxNodes": 3}, activeDeadlineSeconds=3600)
        body["metadata"]["generation"] = 1
        body["metadata"]["creationTimestamp"] = clock.seconds(self.moment)
        self.put(JOBS, body)
        for index in range(3):
            self.silence(f"node-{index}", False)

    def put(self, resource: Resource, body: Object) -> None:
        """A new object, or a new version of one."""
        name = body["metadata"]["name"]
        old = self.objects.get((resource, name))
        uid = old["metadata"]["uid"] if old else f"uid-{next(self._numbers)}"
        metadata = {"namespace": "default", **body["metadata"], "uid": uid}
        self.objects[resource, name] = {**body, "metadata": {**metadata, "resourceVersion": str(next(self._numbers))}}
        if resource == PODS and not old:
            self.created.append((name, uid))
        self.index.put(resource, self.objects[resource, name])

    def remove(self, resource: Resource, name: str) -> None:
        """It is gone."""
        if found := self.objects.pop((resource, name), None):
            self.index.remove(resource, found)

    @property
    def job(self) -> Object:
        """The job as it is."""
        return self.objects[JOBS, "digits"]

    @property
    def pods(self) -> list[Object]:
        """All pods, by name."""
        return [found for (kind, _), found in sorted(self.objects.items(), key=lambda it: it[0][1]) if kind == PODS]

    def change_spec(self, **spec: Any) -> None:
        """What a person does."""
        metadata = {**self.job["metadata"], "generation": self.job["metadata"]["generation"] + 1}
        self.put(JOBS, {**self.job, "metadata": metadata, "spec": {**self.job["spec"], **spec}})

    def change_pod(
        self, pod: Object, metadata: Object | None = None, spec: Object | None = None, **status: Any
    ) -> None:
        """What a scheduler or a kubelet does."""
        changed = {name: {**pod.get(name, {}), **(new or {})} for name, new in (("metadata", metadata), ("spec", spec))}
        self.put(PODS, {**pod, **changed, "status": {**pod.get("status", {}), **status}})

    def run(self, name: str, node: str) -> None:
        """A node takes in the pod, and runs it."""
        ready = [{"type": "Ready", "status": "True"}]
        running = [container({"running": {}}, ready=True)]
        status = {"phase": "Running", "startTime": clock.seconds(self.moment), "podIP": "10.0.0.1"}
        pod = self.objects[PODS, name]
        self.change_pod(pod, spec={"nodeName": node}, conditions=ready, containerStatuses=running, **status)

    def end(self, name: str, code: int = 0, reason: str = "Completed", message: str = "") -> None:
        """Its container ends."""
        ended = {"exitCode": code, "reason": reason, "message": message, "finishedAt": clock.seconds(self.moment)}
        phase = "Failed" if code else "Succeeded"
        statuses = [container({"terminated": ended})]
        self.change_pod(self.objects[PODS, name], phase=phase, conditions=[], containerStatuses=statuses)

    def find_no_room(self, name: str) -> None:
        """The scheduler finds no node for the pod."""
        since = clock.seconds(self.moment)
        refused = {"type": "PodScheduled", "status": "False", "message": "no GPU", "lastTransitionTime": since}
        self.change_pod(self.objects[PODS, name], conditions=[refused])

    def become_unready(self, name: str, reason: str = "") -> None:
        """The pod is said to be unready though its container is well."""
        ready = {"type": "Ready", "status": "False", "lastTransitionTime": clock.seconds(self.moment)}
        self.change_pod(self.objects[PODS, name], conditions=[{**ready, "reason": reason}])

    def silence(self, name: str, silent: bool) -> None:
        """A node stops reporting, or begins again."""
        ready = {"type": "Ready", "status": "Unknown" if silent else "True"}
        condition = {**ready, "lastTransitionTime": clock.seconds(self.moment)}
        self.put(NODES, {"metadata": {"name": name}, "status": {"conditions": [condition]}})

    def observe(self) -> State:
        """What the operator knows."""
        from dataclasses import replace

        state = self.observer.observe(KEY)
        assert state is not None
        return replace(state, now=self.moment)

    def write(self, status: Status) -> None:
        """The status, as the operator writes it."""
        body = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        if body != self.job.get("status"):
            self.put(JOBS, {**self.job, "status": body})

    def decide(self) -> tuple[State, Status, Plan]:
        """One look at the job."""
        state = self.observe()
        status = next_status(state)
        return state, status, plan(state, status, Images("trainer", "payload"))

    def settle(self) -> Status:
        """Looks until nothing is left to do, for there must be an end to it. Returns the status."""
        for _ in range(20):
            state, status, todo = self.decide()
            if status == state.status and not todo.actions:
                return status
            self.write(status)
            for action in todo.actions:
                self.act(action)
        raise AssertionError(f"it never comes to rest: {status}, {todo}")

    def act(self, action: Any) -> None:
        """What an API server does with one write of the operator's. Raises AssertionError if it would refuse it."""
        match action:
            case Create():
                name = action.body["metadata"]["name"]
                assert (action.resource, name) not in self.objects, f"{name} exists"
                self.put(action.resource, action.body)
            case Apply():
                self.put(action.resource, action.body)
            case Delete():
                self._delete(action)
            case EndPod():
                pod = self.objects[PODS, action.name]
                assert pod["metadata"]["uid"] == action.uid
                assert action.after_seconds < pod["spec"].get("activeDeadlineSeconds", action.after_seconds + 1)
                self.change_pod(pod, spec={"activeDeadlineSeconds": action.after_seconds})

    def _delete(self, action: Delete) -> None:
        found = self.objects[action.resource, action.name]
        assert found["metadata"]["uid"] == action.uid
        ended = found.get("status", {}).get("phase") in ("Succeeded", "Failed")
        placed = "nodeName" in found.get("spec", {})
        if action.resource != PODS or action.grace_seconds == 0 or ended or not placed:
            self.remove(action.resource, action.name)
        else:
            self.change_pod(found, {"deletionTimestamp": clock.seconds(self.moment)})

    def pass_time(self, seconds: float) -> None:
        """Let time go by."""
        self.moment += timedelta(seconds=seconds)


CHILDREN = (SERVICES, CONFIG_MAPS)


def running(nodes: int = 2, **spec: Any) -> Cluster:
    """A cluster with a job that runs on `nodes` nodes."""
    cluster = Cluster()
    cluster.change_spec(nodes=nodes, **spec)
    cluster.settle()
    for index in range(nodes):
        cluster.run(f"digits-{index}", f"node-{index}")
    assert cluster.settle().phase == "Running"
    return cluster
