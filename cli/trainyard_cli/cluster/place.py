"""Where a job keeps what it has made."""

import json
import os

from trainyard_api.job import Storage
from trainyard_api.runtime import DEFAULT_RUNTIME
from trainyard_cli.cluster import connection
from trainyard_cli.cluster.connection import Cluster, Object
from trainyard_cli.cluster.jobs import status_of
from trainyard_cli.cluster.refusals import Refused


def storage_of(cluster: Cluster, job: Object) -> Storage:
    """The job's storage: as resolved when it began, else its own over its runtime's; without a URI if none says."""
    name, spec = job["metadata"]["name"], job.get("spec") or {}
    resolved = _optional(cluster, connection.core(cluster.namespace, "configmaps", f"tj-{name}")) or {}
    if text := (resolved.get("data") or {}).get("job.json"):
        return Storage.model_validate(json.loads(text)["spec"]["storage"])
    preset = runtime_storage(cluster, spec.get("runtime")) or {}
    return Storage.model_validate({**preset, **(spec.get("storage") or {})})


def runtime_storage(cluster: Cluster, name: str | None) -> Object | None:
    """The storage that a TrainingRuntime presets; {} where there is none, None where it may not be read."""
    runtime = _optional(cluster, connection.runtimes(name or DEFAULT_RUNTIME))
    return None if runtime is None else dict((runtime.get("spec") or {}).get("storage") or {})


def from_here(storage: Storage) -> Storage:
    """`storage` as this machine reaches it: an endpoint in its environment goes before the manifest's.

    The manifest's may be a name that only the cluster knows.
    """
    if os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
        return storage.model_copy(update={"endpoint": None})
    return storage


def stored_at(cluster: Cluster, job: Object) -> str | None:
    """Folder of the job's runs; None if it can't be told."""
    metadata = job["metadata"]
    below = f"/{metadata['namespace']}/{metadata['name']}"
    status = status_of(job)
    for part in ("model", "checkpoint"):
        uri = str((status.get(part) or {}).get("uri") or "")
        if below + "/" in uri:
            return uri.partition(below + "/")[0] + below
    root = storage_of(cluster, job).uri
    return root.rstrip("/") + below if root else None


def _optional(cluster: Cluster, path: str) -> Object | None:
    """The object; {} if it isn't there, None if it isn't for this reader."""
    try:
        return cluster.get(path)
    except Refused as refused:
        if refused.status in (403, 404):
            return {} if refused.status == 404 else None
        raise
