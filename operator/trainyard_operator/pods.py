"""The pods of a job, as they're made."""

from dataclasses import dataclass
from typing import Any

from trainyard_api.job import JobSpec
from trainyard_api.template import PodTemplate
from trainyard_operator.children import JOB_FILE, Object
from trainyard_operator.names import (
    ATTEMPT_LABEL,
    CONTAINER,
    INDEX_LABEL,
    JOB_LABEL,
    METRICS_PORT,
    QUEUE_LABEL,
    REPORT_PORT,
    group_name,
    labels,
    owner,
    pod_name,
)
from trainyard_operator.quantity import half
from trainyard_operator.state import State

USER = 65532
_SCRATCH = "/scratch"
_CODE = "/trainyard"
_JOB = "/etc/trainyard"
_KEYS = {"AWS_ACCESS_KEY_ID": False, "AWS_SECRET_ACCESS_KEY": False, "AWS_SESSION_TOKEN": True}  # optional?
_SEALED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@dataclass(frozen=True)
class Images:
    """Ours: what pods run whose job names no image, and what brings launcher and SDK into an image that it names."""

    trainer: str
    payload: str


def pod(state: State, index: int, images: Images) -> Object:
    """The pod with this index."""
    assert state.spec is not None
    name, template = state.key.name, state.spec.template
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(name, index),
            "namespace": state.key.namespace,
            "labels": {
                **template.labels,
                **_gang_labels(state),
                **labels(name),
                INDEX_LABEL: str(index),
                ATTEMPT_LABEL: str(state.status.restarts.attempt),
            },
            "annotations": {**template.annotations, **_gang_annotations(state)},
            "ownerReferences": [owner(state.raw)],
        },
        "spec": _spec(state, state.spec, index, images),
    }


def _spec(state: State, spec: JobSpec, index: int, images: Images) -> Object:
    name, template = state.key.name, spec.template
    brought = template.image is not None and spec.script is not None
    found: Object = {
        "hostname": pod_name(name, index),
        "subdomain": group_name(name),
        "restartPolicy": "Never",
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": template.termination_grace_period_seconds,
        "securityContext": template.security_context or _security(),
        "containers": [_container(state, spec, index, template.image or images.trainer, brought)],
        "volumes": [*_volumes(name, template), *template.volumes],
        **_placement(name, template),
    }
    if brought:
        found["initContainers"] = [_bringing(images.payload, template)]
    if not template.service_account_name:
        found["automountServiceAccountToken"] = False
    return found


def _security() -> Object:
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _container(state: State, spec: JobSpec, index: int, image: str, brought: bool) -> Object:
    template = spec.template
    container: Object = {
        "name": CONTAINER,
        "image": image,
        "env": [*_environment(state, spec, index), *template.env],
        "envFrom": template.env_from,
        "resources": template.resources.model_dump(),
        "ports": [
            {"name": "metrics", "containerPort": METRICS_PORT},
            {"name": "report", "containerPort": REPORT_PORT},
        ],
        # Whatever an image of the user's own needs to write is its own affair; ours needs nothing but the scratch.
        "securityContext": {**_SEALED, "readOnlyRootFilesystem": template.image is None},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "job", "mountPath": _JOB, "readOnly": True},
            {"name": "scratch", "mountPath": _SCRATCH},
            {"name": "shm", "mountPath": "/dev/shm"},
            *([{"name": "code", "mountPath": _CODE, "readOnly": True}] if brought else []),
            *template.volume_mounts,
        ],
    }
    if brought:
        container["command"] = ["python", f"{_CODE}/launch.py"]
    if template.image_pull_policy:
        container["imagePullPolicy"] = template.image_pull_policy
    return container


def _bringing(image: str, template: PodTemplate) -> Object:
    """Puts the launcher and the SDK beside the user's own Python."""
    container: Object = {
        "name": "trainyard",
        "image": image,
        "command": ["python", "-m", "trainyard_launcher.payload", _CODE],
        "resources": _plain_resources(template),
        "securityContext": {**_SEALED, "readOnlyRootFilesystem": True},
        "volumeMounts": [{"name": "code", "mountPath": _CODE}],
    }
    if template.image_pull_policy:
        container["imagePullPolicy"] = template.image_pull_policy
    return container


def _plain_resources(template: PodTemplate) -> Object:
    """The trainer's CPU and memory: it begins only afterwards, so the pod needs no more; a quota wants them said."""
    return {
        name: {resource: amount for resource, amount in given.items() if resource in ("cpu", "memory")}
        for name, given in template.resources.model_dump().items()
    }


def _environment(state: State, spec: JobSpec, index: int) -> list[Object]:
    name = state.key.name
    plain = {
        "TRAINYARD_JOB": f"{_JOB}/{JOB_FILE}",
        "TRAINYARD_NODE_INDEX": str(index),
        "TRAINYARD_RENDEZVOUS_HOST": f"{pod_name(name, 0)}.{group_name(name)}",
        "TRAINYARD_RESTARTS": str(state.status.restarts.user),
        "TRAINYARD_METRICS_PORT": str(METRICS_PORT),
        "TRAINYARD_REPORT_PORT": str(REPORT_PORT),
        "HOME": _SCRATCH,
        "XDG_CACHE_HOME": f"{_SCRATCH}/cache",
        "TMPDIR": _SCRATCH,
    }
    fields = {"POD_NAME": "metadata.name", "POD_IP": "status.podIP", "NODE_NAME": "spec.nodeName"}
    found: list[Object] = [{"name": key, "value": value} for key, value in plain.items()]
    found += [{"name": key, "valueFrom": {"fieldRef": {"fieldPath": path}}} for key, path in fields.items()]
    if secret := spec.storage.credentials_secret:
        for key, optional in _KEYS.items():
            reference = {"name": secret, "key": key, **({"optional": True} if optional else {})}
            found.append({"name": key, "valueFrom": {"secretKeyRef": reference}})
    return found


def _volumes(name: str, template: PodTemplate) -> list[Object]:
    size = template.shm_size or half(template.resources.limits.get("memory"))
    return [
        {"name": "job", "configMap": {"name": group_name(name)}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory", **({"sizeLimit": size} if size else {})}},
        {"name": "code", "emptyDir": {}},
    ]


def _placement(job: str, template: PodTemplate) -> Object:
    """Where the pod may go, and before whom."""
    selector = {"matchLabels": {JOB_LABEL: job}}
    affinity: dict[str, Any] = dict(template.affinity)
    found: Object = {}
    if template.topology and template.topology.policy == "pack":
        term = {"labelSelector": selector, "topologyKey": template.topology.key}
        own = dict(affinity.get("podAffinity") or {})
        must = "requiredDuringSchedulingIgnoredDuringExecution"
        affinity["podAffinity"] = {**own, must: [*(own.get(must) or []), term]}
    elif template.topology:
        found["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": template.topology.key,
                "whenUnsatisfiable": "DoNotSchedule",
                "nodeTaintsPolicy": "Honor",  # a node that is lost is no place to be even with
                "labelSelector": selector,
            }
        ]
    scheduler = template.scheduler_name or ("volcano" if template.gang == "volcano" else None)
    given = {
        "affinity": affinity,
        "nodeSelector": template.node_selector,
        "tolerations": template.tolerations,
        "imagePullSecrets": [{"name": secret} for secret in template.image_pull_secrets],
        "serviceAccountName": template.service_account_name,
        "priorityClassName": template.priority_class_name,
        "schedulerName": scheduler,
    }
    return {**found, **{key: value for key, value in given.items() if value}}


def _gang_labels(state: State) -> dict[str, str]:
    """By which coscheduling and Kueue know the pods of one job."""
    assert state.spec is not None
    found = {}
    if state.spec.template.gang == "coscheduling":
        found["scheduling.x-k8s.io/pod-group"] = group_name(state.key.name)
    if queue := _queue(state):
        found[QUEUE_LABEL] = queue
        found["kueue.x-k8s.io/pod-group-name"] = group_name(state.key.name)
    return found


def _gang_annotations(state: State) -> dict[str, str]:
    assert state.spec is not None
    found = {}
    if state.spec.template.gang == "volcano":
        found["scheduling.k8s.io/group-name"] = group_name(state.key.name)
    if _queue(state):
        found["kueue.x-k8s.io/pod-group-total-count"] = str(state.spec.nodes)
    return found


def _queue(state: State) -> str | None:
    return (state.raw["metadata"].get("labels") or {}).get(QUEUE_LABEL)
