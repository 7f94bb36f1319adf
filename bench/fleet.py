"""A fleet: hundreds of jobs of two pods at once on simulated nodes (kwok), TrainingJobs against bare Indexed Jobs.

Prints jobs per second until all pods are created, the CPU seconds of the API server until all of them run, the
operator's memory, and what its restart costs with all of them alive. Both ways run on one control plane, after each
other, as often as asked.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client

from create_to_pods import bare

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support import go
from support.cluster import Namespace, namespace, until
from support.control_plane import ControlPlane, build, control_plane
from support.operator_process import OperatorProcess, operator
from trainyard_api import crd

KWOK = "sigs.k8s.io/kwok/cmd/kwok@v0.7.0"
_CACHE = Path.home() / ".cache" / "trainyard" / "bin"
_CLIENTS = 16
_TICK = os.sysconf("SC_CLK_TCK")


def kwok() -> Path:
    """The simulator, built by Go if it isn't there."""
    path = _CACHE / "kwok-v0.7.0"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=_CACHE) as folder:
            environment = {**os.environ, "GOBIN": folder, "CGO_ENABLED": "0"}
            subprocess.run([go.command(), "install", KWOK], env=environment, check=True, cwd=folder)
            (Path(folder) / "kwok").replace(path)
    return path


def _stages(folder: Path) -> Path:
    """The simulator's own quick stages, without the one that ends pods of Jobs at once."""
    module = subprocess.run(
        [go.command(), "mod", "download", "-json", KWOK.replace("/cmd/kwok", "")],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    stages = Path(json.loads(module.stdout)["Dir"]) / "kustomize/stage"
    chosen = ("node/fast/node-initialize.yaml", "pod/fast/pod-ready.yaml", "pod/fast/pod-delete.yaml")
    path = folder / "stages.yaml"
    path.write_text("\n---\n".join((stages / each).read_text() for each in chosen))
    return path


def cpu_seconds(pid: int) -> float:
    """Of a process, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def memory_mb(pid: int) -> float:
    """Largest resident size so far."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


@contextmanager
def fleet(nodes: int) -> Iterator[tuple[ControlPlane, client.ApiClient, Path]]:
    """A control plane whose nodes are simulated."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plane = stack.enter_context(control_plane(folder))
        api = stack.enter_context(plane.api())
        extensions = client.ApiextensionsV1Api(api)
        for name in (crd.FILE, crd.RUNTIME_FILE):
            definition = yaml.safe_load((Path(crd.__file__).parents[1] / name).read_text())
            extensions.create_custom_resource_definition(definition)
        plane.start_controllers()
        scheduler = build.built() / "kube-scheduler"
        config = str(plane.kubeconfig())
        port = ["--secure-port", "0", "--leader-elect=false", "--kube-api-qps", "500", "--kube-api-burst", "1000"]
        stack.enter_context(_process([str(scheduler), "--kubeconfig", config, *port], folder / "scheduler.log"))
        simulator = [str(kwok()), "--kubeconfig", config, "--manage-all-nodes", "--config", str(_stages(folder))]
        stack.enter_context(_process(simulator, folder / "kwok.log"))
        core = client.CoreV1Api(api)
        for number in range(nodes):
            room = {"cpu": "1000", "memory": "1000Gi", "pods": "1000"}
            body: Any = {"metadata": {"name": f"node-{number}"}, "status": {"allocatable": room, "capacity": room}}
            core.create_node(body)
            # The API server taints a new node as not ready; no controller here takes that back.
            core.patch_node(f"node-{number}", {"spec": {"taints": []}})
        yield plane, api, folder


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def ours(space: Namespace, name: str) -> None:
    """One TrainingJob."""
    space.create(name)


def rival(space: Namespace, name: str) -> None:
    """One Indexed Job with its Service."""
    job, service = bare(name)
    space.call("POST", f"/api/v1/namespaces/{space.name}/services", service)
    space.call("POST", f"/apis/batch/v1/namespaces/{space.name}/jobs", job)


def run(
    plane: ControlPlane, space: Namespace, create: Callable[[Namespace, str], None], jobs: int
) -> tuple[float, float]:
    """Jobs per second until all pods are there, and CPU seconds of the API server until all of them run."""
    pid = plane.api_server.pid
    start, used = time.perf_counter(), cpu_seconds(pid)
    with ThreadPoolExecutor(_CLIENTS) as pool:
        list(pool.map(lambda number: create(space, f"job-{number}"), range(jobs)))
    until("all pods are there", lambda: _count(space) >= 2 * jobs, 600)
    rate = jobs / (time.perf_counter() - start)
    until("all pods run", lambda: _running(space) >= 2 * jobs, 600)
    until("every job says so", lambda: _told(space, create) >= jobs, 600)
    return rate, cpu_seconds(pid) - used


def _count(space: Namespace) -> int:
    time.sleep(0.2)  # the question is cheap for the server (metadata of one page), not free
    page = space.call("GET", f"/api/v1/namespaces/{space.name}/pods?limit=1")
    return len(page["items"]) + page["metadata"].get("remainingItemCount", 0)


def _running(space: Namespace) -> int:
    time.sleep(1.0)
    page = space.call("GET", f"/api/v1/namespaces/{space.name}/pods?limit=1&fieldSelector=status.phase!=Running")
    return _count(space) if not page["items"] else 0


def _told(space: Namespace, create: Callable[[Namespace, str], None]) -> int:
    time.sleep(1.0)
    if create is ours:
        jobs = space.call("GET", f"/apis/trainyard.dev/v1alpha1/namespaces/{space.name}/trainingjobs")["items"]
        return sum((job.get("status") or {}).get("phase") == "Running" for job in jobs)
    jobs = space.call("GET", f"/apis/batch/v1/namespaces/{space.name}/jobs")["items"]
    return sum(job["status"].get("ready") == 2 for job in jobs)


def writes(process: OperatorProcess) -> int:
    """Calls of the operator so far that change something; the Lease aside."""
    lines = process.get("/metrics").splitlines()
    counted = [line for line in lines if line.startswith("trainyard_operator_api_calls_total")]
    return sum(
        int(float(line.split()[-1]))
        for line in counted
        if 'verb="get"' not in line and 'verb="watch"' not in line and 'verb="update"' not in line
    )


def restart(running: OperatorProcess, jobs: int) -> None:
    """Print what it costs to start the operator anew with all jobs alive."""
    running.stop()
    start = time.perf_counter()
    running.start()
    running.when_ready()
    done = 'trainyard_operator_reconcile_seconds_count{result="ok"}'
    until("every job was looked at", lambda: _value(running, done) >= jobs, 120)
    print(
        f"restart with {jobs} jobs: {time.perf_counter() - start:.1f} s (target <= 20), "
        f"{writes(running)} writes (target 0)"
    )


def _value(running: OperatorProcess, name: str) -> float:
    found = [line for line in running.get("/metrics").splitlines() if line.startswith(name)]
    return float(found[0].split()[-1]) if found else 0.0


def main() -> None:
    """Run both ways and print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    pairs = []
    with fleet(20) as (plane, api, folder), operator(plane.kubeconfig(), folder / "operator.log") as running:
        for number in range(args.rounds):
            results = {}
            for create in (ours, rival) if number % 2 == 0 else (rival, ours):
                with namespace(plane, f"{create.__name__}-{number}") as space:
                    until("the account is there", lambda space=space: _account(space))
                    results[create] = run(plane, space, create, args.jobs)
                    if create is ours and number == args.rounds - 1:
                        assert running.process is not None
                        print(f"operator's memory: {memory_mb(running.process.pid):.0f} MB (target < 250)")
                        restart(running, args.jobs)
                until("the namespace is empty", lambda space=space: _gone(api, space.name), 600)
            pairs.append((results[ours], results[rival]))
            (rate, cpu), (rate_bare, cpu_bare) = pairs[-1]
            print(
                f"round {number}: {rate:.1f} against {rate_bare:.1f} jobs/s; "
                f"API server {cpu:.1f} against {cpu_bare:.1f} CPU s"
            )
    print(f"ratio of rates: {statistics.median(a[0] / b[0] for a, b in pairs):.2f} (target >= 2)")
    print(f"ratio of the API server's CPU: {statistics.median(a[1] / b[1] for a, b in pairs):.2f} (target <= 1.2)")


def _account(space: Namespace) -> bool:
    return bool(space.call("GET", f"/api/v1/namespaces/{space.name}/serviceaccounts")["items"])


def _gone(api: client.ApiClient, name: str) -> bool:
    time.sleep(1.0)
    return name not in {each.metadata.name for each in client.CoreV1Api(api).list_namespace().items}


if __name__ == "__main__":
    main()
