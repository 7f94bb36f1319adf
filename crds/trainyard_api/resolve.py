"""From a TrainingJob to a job that can be launched on this machine."""

import os
import posixpath
import uuid
from pathlib import Path

from trainyard_api.documents import ResolvedJob
from trainyard_api.errors import TrainyardError
from trainyard_api.hardware import room_for_processes
from trainyard_api.job import JobSpec, TrainingJob
from trainyard_api.recipe import Data
from trainyard_api.template import PodTemplate

RUNS = "trainyard-runs"


def resolve_job(job: TrainingJob, folder: Path, storage_uri: str | None = None) -> ResolvedJob:
    """`job` as it runs on this machine.

    :param folder: folder of the manifest; relative URIs in it start there
    :param storage_uri: URI or path that goes before spec.storage.uri; neither: ./trainyard-runs
    :raises TrainyardError: more processes than samples in a batch
    """
    folder = folder.resolve()
    spec = job.spec
    if storage_uri:
        uri = absolute(storage_uri, Path.cwd())
    else:
        uri = absolute(spec.storage.uri, folder) if spec.storage.uri else absolute(RUNS, Path.cwd())
    processes = min(asked_processes(spec), room_for_processes())
    _check_batch(spec, processes)
    return ResolvedJob(
        name=job.metadata.name,
        namespace=job.metadata.namespace,
        uid=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{uri}/{job.metadata.namespace}/{job.metadata.name}")),
        spec=_absolute_spec(spec, folder, uri),
        nodes=1,
        processesPerNode=processes,
        folder=str(folder),
    )


def resolve_on_cluster(job: TrainingJob, uid: str) -> ResolvedJob:
    """`job`, its runtime's presets in it, as it runs on a cluster. Relative data URIs start at storage.uri.

    `nodes` is the most there may be; without its template, of which a launcher needs the grace period alone.

    :raises TrainyardError: there is no object storage, or more processes than samples in a batch
    """
    spec = job.spec
    uri = spec.storage.uri
    if not uri or "://" not in uri or uri.startswith("file:"):
        raise TrainyardError(
            "there is no object storage that all nodes reach" if not uri else f"{uri} is no object storage",
            "spec.storage.uri",
            "set it to s3://bucket/prefix here, or in the TrainingRuntime for all jobs",
            cause="StorageMissing",
        )
    nodes = spec.elastic.max_nodes if spec.elastic else spec.nodes
    processes = asked_processes(spec) // spec.nodes
    _check_batch(spec, processes * nodes)
    template = PodTemplate(terminationGracePeriodSeconds=spec.template.termination_grace_period_seconds)
    return ResolvedJob(
        name=job.metadata.name,
        namespace=job.metadata.namespace,
        uid=uid,
        spec=_absolute_spec(spec, uri.rstrip("/"), uri).model_copy(update={"template": template}),
        nodes=nodes,
        processesPerNode=processes,
    )


def absolute(uri: str, base: Path | str) -> str:
    """`uri` as it is if it has a scheme, else from `base` on: a folder, or a URI. Patterns stay as they are."""
    if "://" in uri:
        return uri
    if isinstance(base, str):
        return f"{base}/{posixpath.normpath(uri.lstrip('/'))}"
    return f"file://{os.path.normpath(Path(base, uri))}"


def asked_processes(spec: JobSpec) -> int:
    """Processes on all nodes together; this machine may have room for fewer."""
    if spec.processes_per_node != "auto":
        return spec.nodes * spec.processes_per_node
    gpus = str(spec.template.resources.limits.get("nvidia.com/gpu", "1"))
    return spec.nodes * max(1, int(gpus) if gpus.isascii() and gpus.isdigit() else 1)  # ² is a digit to Python


def _check_batch(spec: JobSpec, processes: int) -> None:
    if spec.recipe and spec.recipe.train.batch_size < processes:
        raise TrainyardError(
            f"a batch of {spec.recipe.train.batch_size} can't be divided over {processes} processes",
            "spec.recipe.train.batchSize",
            f"raise it to at least {processes}, or lower spec.processesPerNode",
            cause="BatchTooSmall",
        )


def _absolute_spec(spec: JobSpec, base: Path | str, storage_uri: str) -> JobSpec:
    recipe, script = spec.recipe, spec.script
    if recipe:
        recipe = recipe.model_copy(update={"data": _absolute_data(recipe.data, base)})
    if script:
        source = absolute(script.source, base) if script.source else None
        data = _absolute_data(script.data, base) if script.data else None
        script = script.model_copy(update={"source": source, "data": data})
    storage = spec.storage.model_copy(update={"uri": storage_uri})
    return spec.model_copy(update={"storage": storage, "recipe": recipe, "script": script})


def _absolute_data(data: Data, base: Path | str) -> Data:
    if data.splits:
        given = data.splits.model_dump(by_alias=False, exclude_none=True)
        update = {split: absolute(uri, base) for split, uri in given.items()}
        return data.model_copy(update={"splits": data.splits.model_copy(update=update)})
    return data.model_copy(update={"uri": absolute(data.uri, base) if data.uri else None})
