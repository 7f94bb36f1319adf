"""A namespace of the tests' cluster: what the operator, scheduler and kubelets would do there, done by hand."""

import io
import itertools
import os
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from support.commands import Ended
from trainyard_cli.main import main

_NUMBERS = itertools.count()
_MERGE = "application/merge-patch+json"
NOW = "2026-01-02T03:04:05Z"
SCRIPT = {"script": {"command": ["/train.py"]}, "template": {"image": "example.org/trainer:1"}}


def token_of(api: client.ApiClient) -> str:
    """The token with which `api` speaks."""
    return str(api.configuration.auth_settings()["BearerToken"]["value"]).removeprefix("Bearer ")


def kubeconfig(api: client.ApiClient, folder: Path, namespace: str = "default", **changes: str) -> Path:
    """A kubeconfig file for the server of `api`; `changes`: server or token."""
    settings = api.configuration
    cluster = {"server": changes.get("server", settings.host), "certificate-authority": settings.ssl_ca_cert}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": cluster}],
        "users": [{"name": "somebody", "user": {"token": changes.get("token") or token_of(api)}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "somebody", "namespace": namespace}}],
        "current-context": "tests",
    }
    path = folder / ".kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


@dataclass
class Team:
    """A namespace of its own, and a person who works in it."""

    api: client.ApiClient
    folder: Path
    namespace: str = field(default_factory=lambda: f"team-{next(_NUMBERS)}")

    def __post_init__(self) -> None:
        self.core.create_namespace({"metadata": {"name": self.namespace}})
        try:
            self.core.create_namespaced_service_account(self.namespace, {"metadata": {"name": "default"}})
        except ApiException as error:
            if error.status != 409:  # a controller was quicker
                raise
        self.config = kubeconfig(self.api, self.folder, self.namespace)

    @property
    def core(self) -> client.CoreV1Api:
        """Pods, nodes and events."""
        return client.CoreV1Api(self.api)

    def command(self, *arguments: str) -> Ended:
        """`trainyard ...` as this person types it, to its end: in this process, since many are run."""
        out, err = io.StringIO(), io.StringIO()
        with (
            patch.dict(os.environ, {"KUBECONFIG": str(self.config)}),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            try:
                code = main(arguments)
            except SystemExit as wrong_arguments:
                code = int(wrong_arguments.code or 0)
        return Ended(list(arguments), code, out.getvalue(), err.getvalue())

    def job(self, name: str, spec: dict[str, Any] | None = None) -> dict[str, Any]:
        """Create a job as somebody would by kubectl."""
        body = {
            "apiVersion": "trainyard.dev/v1alpha1",
            "kind": "TrainingJob",
            "metadata": {"name": name},
            "spec": spec or SCRIPT,
        }
        return self._call("create_namespaced_custom_object", body)

    def get(self, name: str) -> dict[str, Any]:
        """The job as it is."""
        return self._call("get_namespaced_custom_object", name)

    def status(self, name: str, phase: str, reason: str = "", message: str = "", **fields: Any) -> None:
        """What the operator would write."""
        generation = self.get(name)["metadata"]["generation"]
        status = {"phase": phase, "reason": reason or phase, "message": message, "observedGeneration": generation}
        self._call("patch_namespaced_custom_object_status", name, {"status": {**status, **fields}})

    def delete(self, name: str) -> None:
        """Delete the job."""
        self._call("delete_namespaced_custom_object", name)

    def pod(self, job: str, index: int = 0, node: str | None = None, attempt: int = 0) -> str:
        """Create a pod of the job, on `node`; its name."""
        labels = {"job": job, "index": str(index), "attempt": str(attempt)}
        body = {
            "metadata": {
                "name": f"{job}-{index}",
                "labels": {f"trainyard.dev/{name}": value for name, value in labels.items()},
            },
            "spec": {
                "nodeName": node,
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "trainer", "image": "example.org/trainer:1"}],
            },
        }
        return str(self.core.create_namespaced_pod(self.namespace, body).metadata.name)

    def pod_state(self, name: str, state: dict[str, Any], phase: str = "Running", **fields: Any) -> None:
        """What a kubelet would write of the pod's container."""
        container = {
            "name": "trainer",
            "image": "",
            "imageID": "",
            "ready": "running" in state,
            "restartCount": 0,
            "state": state,
        }
        status = {"phase": phase, "containerStatuses": [container], **fields}
        self.core.patch_namespaced_pod_status(name, self.namespace, {"status": status})

    def pod_runs(self, name: str) -> None:
        """Its container runs."""
        self.pod_state(name, {"running": {"startedAt": NOW}})

    def pod_ends(self, name: str, code: int = 0) -> None:
        """Its container has ended."""
        reason = "Error" if code else "Completed"
        state = {"terminated": {"exitCode": code, "reason": reason, "startedAt": NOW, "finishedAt": NOW}}
        self.pod_state(name, state, "Failed" if code else "Succeeded")

    def delete_pod(self, name: str) -> None:
        """It's gone at once."""
        self.core.delete_namespaced_pod(name, self.namespace, grace_period_seconds=0)

    def event(self, about: dict[str, Any], reason: str, message: str) -> None:
        """A warning about an object."""
        body = {
            "metadata": {"generateName": "event-"},
            "involvedObject": {
                "kind": about["kind"],
                "name": about["metadata"]["name"],
                "namespace": self.namespace,
                "uid": about["metadata"]["uid"],
            },
            "reason": reason,
            "message": message,
            "type": "Warning",
            "lastTimestamp": NOW,
        }
        self.core.create_namespaced_event(self.namespace, body)

    def _call(self, verb: str, *arguments: Any) -> dict[str, Any]:
        call: Callable[..., dict[str, Any]] = getattr(client.CustomObjectsApi(self.api), verb)
        more = {"_content_type": _MERGE} if verb.startswith("patch") else {}
        return call("trainyard.dev", "v1alpha1", self.namespace, "trainingjobs", *arguments, **more)
