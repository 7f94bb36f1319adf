"""What a job owns besides its pods: the Service by which nodes find each other, the job's file, the gang."""

from typing import Any

from pydantic import ValidationError

from trainyard_api.base import Model, Name
from trainyard_operator.api import CONFIG_MAPS, POD_GROUPS, SERVICES, Resource
from trainyard_operator.names import JOB_LABEL, group_name, labels, owner
from trainyard_operator.state import State

Object = dict[str, Any]
JOB_FILE = "job.json"
RUNTIME_FILE = "runtime.json"


class _Snapshot(Model):
    """Presets as they are kept; both fields null: there were none."""

    name: Name | None
    spec: dict[str, Any] | None


def service(state: State) -> Object:
    """Headless: each pod's name resolves to its address as soon as it has one."""
    return _object(
        SERVICES,
        state,
        {
            "spec": {
                "clusterIP": "None",
                "publishNotReadyAddresses": True,
                "selector": {JOB_LABEL: state.key.name},
            }
        },
    )


def config_map(state: State) -> Object:
    """The resolved job, and the presets that went into it, kept as they were when the job began."""
    assert state.resolved is not None
    job = state.resolved.model_dump_json(exclude_none=True, by_alias=True)
    return _object(CONFIG_MAPS, state, {"data": {JOB_FILE: job, RUNTIME_FILE: state.runtime_json}})


def pod_group(state: State) -> tuple[Resource, Object] | None:
    """For schedulers that start all pods of a gang or none."""
    assert state.spec is not None
    resource = POD_GROUPS.get(state.spec.template.gang)
    if not resource:
        return None
    least = state.spec.elastic.min_nodes if state.spec.elastic else state.spec.nodes
    return resource, _object(resource, state, {"spec": {"minMember": least}})


def preset_snapshot(config: Object | None) -> Object | None:
    """The presets that were kept with the job; None if there are none, or somebody has made them unreadable."""
    try:
        text = (config or {}).get("data", {}).get(RUNTIME_FILE, "")
        return _Snapshot.model_validate_json(text).model_dump()
    except ValidationError:
        return None


def covers(live: Any, desired: Any) -> bool:
    """Whether `live` holds everything that `desired` says; what others added beside it is theirs."""
    if isinstance(desired, dict):
        return isinstance(live, dict) and all(key in live and covers(live[key], desired[key]) for key in desired)
    if isinstance(desired, list):
        return isinstance(live, list) and all(any(covers(item, wanted) for item in live) for wanted in desired)
    return bool(live == desired)


def _object(resource: Resource, state: State, content: Object) -> Object:
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": group_name(state.key.name),
            "namespace": state.key.namespace,
            "labels": labels(state.key.name),
            "ownerReferences": [owner(state.raw)],
        },
        **content,
    }
