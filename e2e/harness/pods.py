"""Pods that the tests start themselves."""

import json
from typing import Any

from harness.cluster import Cluster
from harness.process import Failed

_SECONDS = 120


def pod(
    name: str, image: str, command: list[str], *, node: str | None = None, environment: dict[str, str] | None = None
) -> dict[str, Any]:
    """A pod as restricted as ours are: no root, no capabilities, a root file system that can't be written."""
    variables = {"TMPDIR": "/scratch", "XDG_CACHE_HOME": "/scratch", **(environment or {})}
    closed = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "Never",
        "command": command,
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "securityContext": closed,
        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
    }
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }
    if node:
        spec["nodeName"] = node
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


def finish(cluster: Cluster, namespace: str, document: dict[str, Any]) -> str:
    """Create the pod, wait until it succeeds, and return its log. Raises Failed, with the log, if it doesn't."""
    name = document["metadata"]["name"]
    there = ("-n", namespace)
    cluster.kubectl(*there, "apply", "-f", "-", input=json.dumps(document))
    try:
        done = "--for=jsonpath={.status.containerStatuses[0].state.terminated.reason}"
        cluster.kubectl(*there, "wait", done, f"pod/{name}", f"--timeout={_SECONDS}s")
    finally:
        status = cluster.get(*there, f"pod/{name}")["status"]
    log = cluster.kubectl(*there, "logs", name)
    if _exit_code(status) != 0:
        raise Failed(f"pod {name} failed: {json.dumps(status)}\n{log}")
    return log


def _exit_code(status: dict[str, Any]) -> int:
    return int(status["containerStatuses"][0]["state"]["terminated"]["exitCode"])
