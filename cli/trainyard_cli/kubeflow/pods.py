"""A pod template as spec.template."""

from typing import Any

from trainyard_cli.kubeflow.converted import Converted, Values

_CONTAINER = ("image", "imagePullPolicy", "env", "envFrom", "volumeMounts")
_POD = (
    "nodeSelector",
    "tolerations",
    "affinity",
    "serviceAccountName",
    "priorityClassName",
    "schedulerName",
    "terminationGracePeriodSeconds",
    "volumes",
    "securityContext",
)
_RENDEZVOUS = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK", "LOCAL_RANK", "NODE_RANK", "LOCAL_WORLD_SIZE")
_WHY = {
    "initContainers": "let the program or the image do what they did",
    "workingDir": "the program runs where its source is; give a whole path in spec.script.command",
    "hostNetwork": "pods of a TrainingJob have addresses of their own",
    "securityContext": "spec.template.securityContext holds for the whole pod",
}
_SILENT = ("name", "ports", "restartPolicy", "automountServiceAccountToken", "enableServiceLinks")


def take_pod(converted: Converted, template: Values, container_name: str, path: str) -> list[str]:
    """Put what a TrainingJob's pods can have into spec.template; gives the container's command and arguments."""
    spec = dict(template.get("spec") or {})
    main = _main_container(converted, spec.pop("containers", None) or [{}], container_name, path)
    taken = converted.spec.setdefault("template", {})
    merge(taken, {**_known(main, _CONTAINER), **_known(spec, _POD)})
    if resources := main.pop("resources", None):
        take_resources(converted, resources)
    if secrets := spec.pop("imagePullSecrets", None):
        taken["imagePullSecrets"] = [secret["name"] for secret in secrets]
    if account := spec.pop("serviceAccount", None):
        taken.setdefault("serviceAccountName", account)
    for name in ("labels", "annotations"):
        if given := (template.get("metadata") or {}).get(name):
            merge(taken, {name: given})
    command = [*(main.pop("command", None) or []), *(main.pop("args", None) or [])]
    for name in [name for name in (*main, *spec) if name not in _SILENT]:
        converted.note(f"{path}: {name} is left out: {_WHY.get(name, 'a TrainingJob has no such field')}")
    _take_shared_memory(taken)
    _leave_rendezvous(converted, taken)
    return command


def take_resources(converted: Converted, resources: Values) -> None:
    """Requests and limits."""
    resources = dict(resources)
    taken = {
        name: {resource: amount if isinstance(amount, int) else str(amount) for resource, amount in given.items()}
        for name in ("requests", "limits")
        if (given := resources.pop(name, None))
    }
    merge(converted.spec.setdefault("template", {}), {"resources": taken} if taken else {})
    converted.left_over("resources", resources)


def merge(into: Values, more: Values) -> None:
    """`more` over `into`: maps key by key, lists item by item, an item of the same name once."""
    for name, value in more.items():
        old = into.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            merge(old, value)
        elif isinstance(old, list) and isinstance(value, list):
            names = [_named(item) for item in value]
            into[name] = [item for item in old if _named(item) not in names] + value
        else:
            into[name] = dict(value) if isinstance(value, dict) else value


def _named(item: Any) -> Any:
    return (item.get("mountPath") or item.get("name") or repr(item)) if isinstance(item, dict) else item


def _main_container(converted: Converted, containers: list[Values], name: str, path: str) -> Values:
    """The container with the training: by its name, else the first."""
    main = next((each for each in containers if each.get("name") == name), containers[0])
    for other in containers:
        if other is not main:
            converted.note(f"{path}: the container {other.get('name')} is left out: pods have the training alone")
    return dict(main)


def _known(values: Values, names: tuple[str, ...]) -> Values:
    return {name: values.pop(name) for name in names if name in values and values[name] not in (None, [], {})}


def _take_shared_memory(taken: Values) -> None:
    """A memory volume at /dev/shm is shmSize here, and by default half the memory."""
    mounts = taken.get("volumeMounts", [])
    names = {mount.get("name") for mount in mounts if mount.get("mountPath") == "/dev/shm"}
    for volume in [volume for volume in taken.get("volumes", []) if volume.get("name") in names]:
        if size := (volume.get("emptyDir") or {}).get("sizeLimit"):
            taken["shmSize"] = str(size)
        taken["volumes"].remove(volume)
    taken["volumeMounts"] = [mount for mount in mounts if mount.get("name") not in names]
    for name in ("volumes", "volumeMounts"):
        if not taken.get(name):
            taken.pop(name, None)


def _leave_rendezvous(converted: Converted, taken: Values) -> None:
    """Where the ranks meet is the launcher's to say."""
    env = taken.get("env", [])
    ours = [item for item in env if item.get("name") in _RENDEZVOUS or str(item.get("name")).startswith("PET_")]
    if ours:
        names = ", ".join(str(item["name"]) for item in ours)
        converted.note(f"env {names} is left out: torchrun sets it")
        taken["env"] = [item for item in env if item not in ours]
        if not taken["env"]:
            del taken["env"]
