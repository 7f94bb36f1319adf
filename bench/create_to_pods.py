"""From the creation of a job to both its pods' creation: a TrainingJob against a bare Indexed Job with a Service.

On a control plane of its own, or on a cluster with the operator on it (--kubeconfig). Both alternate; medians.
"""

import argparse
import queue
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config, watch
from urllib3.exceptions import HTTPError

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.cluster import Namespace, until
from support.control_plane import control_plane
from support.operator_process import operator
from trainyard_api import crd

_RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True}


def bare(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a person would write to run two nodes without an operator."""
    container = {"name": "trainer", "image": "trainer", "securityContext": _RESTRICTED}
    pod = {"restartPolicy": "Never", "subdomain": name, "containers": [container]}
    spec = {
        "completions": 2,
        "parallelism": 2,
        "completionMode": "Indexed",
        "backoffLimit": 0,
        "template": {"metadata": {"labels": {"bench": name}}, "spec": pod},
    }
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}
    ports = {"clusterIP": "None", "selector": {"bench": name}}
    return job, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": ports}


class Timer:
    """Sees pods as they come."""

    def __init__(self, space: Namespace) -> None:
        self._space = space
        self._seen: queue.Queue[tuple[float, str]] = queue.Queue()
        self._watch = watch.Watch()
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        with suppress(HTTPError):  # the end of the cluster
            for event in self._watch.stream(self._space.core.list_namespaced_pod, self._space.name):
                if event["type"] == "ADDED":
                    self._seen.put((time.perf_counter(), event["object"].metadata.name))

    def ours(self, name: str) -> float:
        """Seconds to two pods of a TrainingJob."""
        start = time.perf_counter()
        self._space.create(name)
        took = self._second_pod(name) - start
        self._space.delete(name)
        self._wait_until_gone()
        return took

    def bare(self, name: str) -> float:
        """Seconds to two pods of a Job, whose Service is made first."""
        job, service = bare(name)
        start = time.perf_counter()
        self._space.call("POST", f"/api/v1/namespaces/{self._space.name}/services", service)
        jobs = f"/apis/batch/v1/namespaces/{self._space.name}/jobs"
        self._space.call("POST", jobs, job)
        took = self._second_pod(name) - start
        self._space.call("DELETE", f"{jobs}/{name}", {"propagationPolicy": "Background"})
        self._wait_until_gone()
        return took

    def _wait_until_gone(self) -> None:
        """Pods that start and end on the nodes would slow down the next round."""
        path = f"/api/v1/namespaces/{self._space.name}/pods"
        until("the pods are gone", lambda: not self._space.call("GET", path)["items"], 120)

    def _second_pod(self, name: str) -> float:
        pods: list[float] = []
        while len(pods) < 2:
            moment, pod = self._seen.get(timeout=60)
            pods += [moment] if pod.startswith(f"{name}-") else []
        return pods[-1]


@contextmanager
def cluster(kubeconfig: str | None) -> Iterator[Namespace]:
    """A namespace of a cluster with the operator."""
    with ExitStack() as stack:
        if kubeconfig:
            api = stack.enter_context(config.new_client_from_config(kubeconfig))
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            plane = stack.enter_context(control_plane(folder))
            api = stack.enter_context(plane.api())
            extensions = client.ApiextensionsV1Api(api)
            for name in (crd.FILE, crd.RUNTIME_FILE):
                path = Path(crd.__file__).parents[1] / name
                extensions.create_custom_resource_definition(yaml.safe_load(path.read_text()))
            until("TrainingJobs are served", lambda: _served(Namespace(api, "default")))
            plane.start_controllers()
            stack.enter_context(operator(plane.kubeconfig(), folder / "operator.log"))
        space = Namespace(api, f"bench-{int(time.time())}")
        space.call("POST", "/api/v1/namespaces", {"metadata": {"name": space.name}})
        until("the account is there", lambda: _account(space))
        yield space
        space.call("DELETE", f"/api/v1/namespaces/{space.name}")


def _served(space: Namespace) -> bool:
    try:
        return bool(space.call("GET", "/apis/trainyard.dev/v1alpha1/trainingruntimes"))
    except client.ApiException:
        return False


def _account(space: Namespace) -> bool:
    return bool(space.call("GET", f"/api/v1/namespaces/{space.name}/serviceaccounts")["items"])


def main() -> None:
    """Print the median of each and the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--kubeconfig", help="a cluster with the operator on it; default: one of the bench's own")
    args = parser.parse_args()
    with cluster(args.kubeconfig) as space:
        timer = Timer(space)
        pairs = [(timer.ours(f"ours-{n}"), timer.bare(f"bare-{n}")) for n in range(args.rounds + 1)][1:]
    ours, rival = (statistics.median(values) for values in zip(*pairs, strict=True))
    print(f"create to both pods: TrainingJob {ours:.3f} s, Indexed Job with Service {rival:.3f} s")
    print(f"ratio: {statistics.median(one / other for one, other in pairs):.2f} (target <= 1.3, aim 1.0)")


if __name__ == "__main__":
    main()
