"""A cluster as tests see it: jobs are made, pods are run by the test itself, and conditions are waited for."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

from kubernetes import client

from support.control_plane import ControlPlane

Object = dict[str, Any]
T = TypeVar("T")
_SECONDS = 60.0


def until(what: str, found: Callable[[], T], seconds: float = _SECONDS) -> T:
    """The first true value of `found`. Raises AssertionError, with the last one, if there is none in `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = found()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"never: {what}; last seen: {value!r}")
        time.sleep(0.02)


def now() -> str:
    """As Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def job(name: str, namespace: str, **spec: Any) -> Object:
    """A TrainingJob of two nodes, as a person would write it."""
    recipe = {"data": {"uri": "digits.parquet", "target": "label"}, "model": {"type": "linear"}}
    spec = {"nodes": 2, "storage": {"uri": "s3://bucket/runs"}, "recipe": recipe, **spec}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "trainyard.dev/v1alpha1", "kind": "TrainingJob", "metadata": metadata, "spec": spec}


class Namespace:
    """One namespace, with everything a test does in it."""

    def __init__(self, api: client.ApiClient, name: str) -> None:
        self.api = api
        self.name = name
        self.core = client.CoreV1Api(api)
        self._base = f"/apis/trainyard.dev/v1alpha1/namespaces/{name}/trainingjobs"

    def call(self, method: str, path: str, body: Any = None, content: str = "application/json") -> Any:
        """The parsed answer. Raises ApiException."""
        asked: Any = self.api.param_serialize(
            method,
            path,
            header_params={"Content-Type": content, "Accept": "application/json"},
            body=body,
            auth_settings=["BearerToken"],
        )
        answer: Any = self.api.call_api(*asked)
        answer.read()
        if not 200 <= answer.status <= 299:
            raise client.ApiException(http_resp=answer)
        return json.loads(answer.data)

    def create(self, name: str, **spec: Any) -> Object:
        """Make a job of `job(name, ...)`."""
        made: Object = self.call("POST", self._base, job(name, self.name, **spec))
        return made

    def apply(self, body: Object, manager: str = "tests") -> Object:
        """Server-side apply of a job."""
        path = f"{self._base}/{body['metadata']['name']}?fieldManager={manager}&force=true"
        applied: Object = self.call("PATCH", path, body, "application/apply-patch+yaml")
        return applied

    def patch(self, name: str, **spec: Any) -> Object:
        """Change fields of a job's spec."""
        patched: Object = self.call("PATCH", f"{self._base}/{name}", {"spec": spec}, "application/merge-patch+json")
        return patched

    def delete(self, name: str) -> None:
        """Delete a job, its children in the background."""
        self.call("DELETE", f"{self._base}/{name}")

    def get(self, name: str) -> Object:
        """The job as it is."""
        found: Object = self.call("GET", f"{self._base}/{name}")
        return found

    def status(self, name: str) -> Object:
        """Its status; empty if there is none."""
        found: Object = self.get(name).get("status") or {}
        return found

    def when(self, name: str, **wanted: Any) -> Object:
        """The status, once its fields are as wanted."""

        def there() -> Object | None:
            status = self.status(name)
            return status if all(status.get(field) == value for field, value in wanted.items()) else None

        try:
            return until(f"{name}: {wanted}", there)
        except AssertionError as error:
            raise AssertionError(f"{error}; status: {self.status(name)}") from error

    def pods(self, name: str) -> dict[str, Object]:
        """The job's pods by name."""
        path = f"/api/v1/namespaces/{self.name}/pods?labelSelector=trainyard.dev/job={name}"
        return {pod["metadata"]["name"]: pod for pod in self.call("GET", path)["items"]}

    def events(self, name: str) -> list[Object]:
        """Events about the job, by reason."""
        path = f"/api/v1/namespaces/{self.name}/events?fieldSelector=involvedObject.name={name}"
        found: list[Object] = self.call("GET", path)["items"]
        return found

    def created(self, name: str, count: int = 2) -> dict[str, Object]:
        """The job's pods, once there are `count` that aren't on their way out."""

        def there() -> dict[str, Object] | None:
            pods = {key: pod for key, pod in self.pods(name).items() if "deletionTimestamp" not in pod["metadata"]}
            return pods if len(pods) == count else None

        return until(f"{name} has {count} pods", there)

    def bind(self, pod: str, node: str = "node-a") -> None:
        """What a scheduler does."""
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod},
            "target": {"kind": "Node", "name": node},
        }
        self.call("POST", f"/api/v1/namespaces/{self.name}/pods/{pod}/binding", body)

    def pod_status(self, pod: str, **status: Any) -> Object:
        """What a kubelet reports."""
        path = f"/api/v1/namespaces/{self.name}/pods/{pod}/status"
        patched: Object = self.call("PATCH", path, {"status": status}, "application/merge-patch+json")
        return patched

    def run(self, pod: str, node: str = "node-a", ip: str = "127.0.0.1") -> None:
        """Have the pod run on `node`."""
        if not self.call("GET", f"/api/v1/namespaces/{self.name}/pods/{pod}")["spec"].get("nodeName"):
            self.bind(pod, node)
        moment = now()
        state = {"running": {"startedAt": moment}}
        self.pod_status(
            pod,
            phase="Running",
            startTime=moment,
            podIP=ip,
            conditions=[{"type": "Ready", "status": "True", "lastTransitionTime": moment}],
            containerStatuses=[container(state, ready=True)],
        )

    def end(self, pod: str, code: int = 0, message: str = "", reason: str = "") -> None:
        """Have the pod's container end."""
        moment = now()
        ended = {"exitCode": code, "message": message, "reason": reason or ("Error" if code else "Completed")}
        state = {"terminated": {**ended, "startedAt": moment, "finishedAt": moment}}
        conditions = [{"type": "Ready", "status": "False", "lastTransitionTime": moment}]
        phase = "Failed" if code else "Succeeded"
        self.pod_status(pod, phase=phase, conditions=conditions, containerStatuses=[container(state)])

    def run_all(self, name: str, count: int = 2) -> dict[str, Object]:
        """The job's pods, running, once the job says so."""
        pods = self.created(name, count)
        for index, pod in enumerate(sorted(pods)):
            if pods[pod].get("status", {}).get("phase") != "Running":
                self.run(pod, f"node-{index}")
        self.when(name, phase="Running", nodesReady=count)
        return self.pods(name)

    def replaced(self, pod: str) -> bool:
        """Whether a pod that failed has been made anew."""
        found = self.call("GET", f"/api/v1/namespaces/{self.name}/pods").get("items", [])
        return any(each["metadata"]["name"] == pod and each["status"]["phase"] == "Pending" for each in found)

    def remove(self, pod: str) -> None:
        """Confirm a pod's deletion, as its kubelet would."""
        self.call("DELETE", f"/api/v1/namespaces/{self.name}/pods/{pod}", {"gracePeriodSeconds": 0})


def container(state: Object, *, ready: bool = False, name: str = "trainer") -> Object:
    """The status of a container."""
    fixed = {"name": name, "image": "trainer", "imageID": "", "restartCount": 0}
    return {**fixed, "ready": ready, "state": state}


@contextlib.contextmanager
def namespace(plane: ControlPlane, name: str) -> Iterator[Namespace]:
    """A new namespace, deleted afterwards."""
    with plane.api() as api:
        found = Namespace(api, name)
        found.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        yield found
        with contextlib.suppress(client.ApiException):  # the test has deleted it itself
            found.call("DELETE", f"/api/v1/namespaces/{name}")
