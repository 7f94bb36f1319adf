"""One job, one operator behind a proxy, and a kubelet that always does the same: what happens there can be repeated."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from support.api_proxy import ApiProxy
from support.cluster import Namespace, Object
from support.control_plane import ControlPlane
from support.forked_operator import ForkedOperator

_SECONDS = 60.0
_TICK = 0.05
_TIMES = {"lastTransitionTime", "lastTime", "startTime", "completionTime", "runningSince", "runningSeconds"}


class View:
    """All pods and jobs of the cluster, as they were a moment ago: one poller for all who look."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._ticks = 0
        self.jobs: dict[tuple[str, str], Object] = {}
        self.pods: dict[str, dict[str, Object]] = {}  # by namespace and name

    def _poll(self) -> None:
        with self._plane.api() as api:
            space = Namespace(api, "default")
            while not self._stop.wait(_TICK):
                jobs = space.call("GET", "/apis/trainyard.dev/v1alpha1/trainingjobs")["items"]
                pods: dict[str, dict[str, Object]] = {}
                for pod in space.call("GET", "/api/v1/pods")["items"]:
                    pods.setdefault(pod["metadata"]["namespace"], {})[pod["metadata"]["name"]] = pod
                with self._changed:
                    self.jobs = {(job["metadata"]["namespace"], job["metadata"]["name"]): job for job in jobs}
                    self.pods, self._ticks = pods, self._ticks + 1
                    self._changed.notify_all()

    def next(self, seen: int) -> int:
        """Wait for what was asked after `seen`."""
        with self._changed:
            self._changed.wait_for(lambda: self._ticks > seen, _SECONDS)
            return self._ticks

    @contextmanager
    def running(self) -> Iterator["View"]:
        """Look for as long as the block lasts."""
        thread = threading.Thread(target=self._poll, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join(20)


class Stage:
    """A namespace in which the job `digits` lives."""

    def __init__(self, view: View, space: Namespace, proxy: ApiProxy, operator: ForkedOperator) -> None:
        self.view, self.space, self.proxy, self.operator = view, space, proxy, operator
        self.kubelet = True  # whether pods are run
        self.crashes = 0

    @property
    def job(self) -> Object:
        """The job; empty if there is none."""
        return self.view.jobs.get((self.space.name, "digits"), {})

    @property
    def status(self) -> Object:
        """Its status."""
        found: Object = self.job.get("status") or {}
        return found

    @property
    def pods(self) -> dict[str, Object]:
        """Its pods."""
        return self.view.pods.get(self.space.name, {})

    def until(self, what: str, condition: Callable[[], bool]) -> None:
        """Be kubelet, and whoever starts the operator again when it has crashed, until `condition` holds."""
        ticks = 0
        for _ in range(int(_SECONDS / _TICK)):
            ticks = self.view.next(ticks)
            self._start_again()
            self._be_kubelet()
            if condition():
                return
            if self.operator.ended() is not None:
                raise AssertionError(f"the operator has ended by itself: {self.operator.log}")
        raise AssertionError(f"never: {what}; status {self.status}; pods {sorted(self.pods)}; log {self.operator.log}")

    def when(self, **wanted: Any) -> None:
        """Until the fields of the status are as wanted."""
        self.until(str(wanted), lambda: all(self.status.get(field) == value for field, value in wanted.items()))

    def settle(self) -> None:
        """Have a new operator look at the job once more, until nothing is left to do."""
        self.operator.kill()
        self.operator.start()
        self.until("a new operator has looked at the job", self.operator.is_settled)

    def _start_again(self) -> None:
        if self.proxy.severed.is_set():
            self.operator.kill()
            self.proxy.mend()
            self.operator.start()
            self.crashes += 1

    def _be_kubelet(self) -> None:
        for name, pod in self.pods.items():
            placed = pod["spec"].get("nodeName")
            if "deletionTimestamp" in pod["metadata"]:
                self._unless_gone(lambda pod=pod: self._confirm_end(pod))
            elif self.kubelet and pod["status"]["phase"] == "Pending":
                self._unless_gone(lambda name=name, placed=placed: self.space.run(name, placed or f"node-{name[-1]}"))

    def _confirm_end(self, pod: Object) -> None:
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}}
        self.space.call("DELETE", f"/api/v1/namespaces/{self.space.name}/pods/{pod['metadata']['name']}", options)

    def _unless_gone(self, doing: Callable[[], None]) -> None:
        from kubernetes.client import ApiException

        try:
            doing()
        except ApiException as error:
            if error.status not in (404, 409):
                raise

    def left(self) -> list[Object]:
        """Services and config maps of the job."""
        base, selector = f"/api/v1/namespaces/{self.space.name}", "labelSelector=trainyard.dev/job=digits"
        kinds = ("services", "configmaps")
        return [each for kind in kinds for each in self.space.call("GET", f"{base}/{kind}?{selector}")["items"]]

    def outcome(self) -> Object:
        """All that is there in the end, without times and what differs from one namespace to the next."""
        found = {
            "status": _without_times(self.space.status("digits")),
            "events": sorted((each["reason"], each["type"], each["message"]) for each in self.space.events("digits")),
            "pods": sorted(
                [each["metadata"]["name"], each["metadata"]["labels"], each["status"]["phase"], _deadline(each)]
                for each in self.space.pods("digits").values()
            ),
            "others": [
                [each["metadata"]["name"], each.get("data") or each["spec"]["selector"]] for each in self.left()
            ],
        }
        text = json.dumps(found, sort_keys=True).replace(self.space.name, "NAMESPACE")
        text = text.replace("digits-1 on node-1: it was deleted", "digits-1: it was deleted")  # if it was seen to go
        scrubbed: Object = json.loads(re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "UID", text))
        return scrubbed


def _deadline(pod: Object) -> bool:
    return "activeDeadlineSeconds" in pod["spec"]


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_times(inner) for name, inner in value.items() if name not in _TIMES}
    return [_without_times(inner) for inner in value] if isinstance(value, list) else value
