"""What a failed test leaves in e2e-artifacts/: events, objects, and the logs of pods and nodes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from harness.cluster import Cluster
from harness.docker import docker
from harness.places import ARTIFACTS, NAMESPACE
from harness.process import Failed

_OBJECTS = "pods,services,configmaps,events,deployments,trainingjobs,leases"
_OPERATOR = "trainyard-system"


def keep(cluster: Cluster, namespace: str) -> Path:
    """Write all there is about `namespace` into a folder of its name, and return that."""
    folder = ARTIFACTS / namespace
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "nodes.txt", partial(cluster.kubectl, "describe", "nodes"))
    for name in (namespace, _OPERATOR, NAMESPACE):
        _keep_namespace(cluster, name, folder)
    for node in cluster.nodes():
        command = ("journalctl", "--no-pager", "-n", "500", "-u", "kubelet", "-u", "containerd")
        _write(folder / f"{node}.log", partial(docker, "exec", node, *command))
    return folder


def _keep_namespace(cluster: Cluster, name: str, folder: Path) -> None:
    there = ("-n", name, "get")
    _write(folder / f"{name}-events.txt", partial(cluster.kubectl, *there, "events", "--sort-by=.lastTimestamp"))
    for kind in _OBJECTS.split(","):
        _write(folder / f"{name}-{kind}.yaml", partial(cluster.kubectl, *there, kind, "-o", "yaml"))
    pods = cluster.kubectl(*there, "pods", "-o", "name").split()
    for pod in pods:
        words = ("-n", name, "logs", pod, "--all-containers", "--prefix", "--timestamps")
        _write(folder / f"{name}-{pod.removeprefix('pod/')}.log", partial(cluster.kubectl, *words))


def _write(path: Path, content: Callable[[], str]) -> None:
    """What can't be had leaves its reason: looking at a failure must not hide it."""
    try:
        path.write_text(content())
    except Failed as error:
        path.write_text(f"{error}\n")
