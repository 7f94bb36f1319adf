"""Which run a job is: the same job on the same data goes on where it was, a changed one starts afresh."""

from pathlib import Path
from typing import Any

from trainyard_api.canonical import canonical_json
from trainyard_api.documents import ResolvedJob
from trainyard_launcher.node import Node
from trainyard_storage import Store, digest, digest128, open_store
from trainyard_storage.source import list_source


def run_store(job: ResolvedJob, node: Node | None) -> Store:
    """The job's run folder: <storage.uri>/<namespace>/<name>/<12 hex digits of the run's digest>.

    On a cluster (`node`) it's the one that the first node 0 chose. Raises TrainyardError if the data can't be listed.
    """
    storage = job.spec.storage
    runs = open_store(storage.uri or "trainyard-runs", storage).child(f"{job.namespace}/{job.name}")
    return runs.child(_chosen_run(job, runs, node) if node else run_digest(job))


def _chosen_run(job: ResolvedJob, runs: Store, node: Node) -> str:
    """The run that this TrainingJob goes on with: node 0 writes it down under the job's uid, once.

    What a TrainingJob is to do never changes, but files may come to its data while it trains, and a pod that is
    replaced then must not begin from zero. The record's folder is named like a run's, so a job whose data lies around
    the runs doesn't take it for data.
    """
    key = f"{digest128(job.uid.encode())[:12]}/run.json"
    known = runs.get_json(key)
    if known is None:
        known = {"run": run_digest(job)}
        if node.leads:
            try:
                runs.put_json(key, known, if_absent=True)
            except FileExistsError:  # another node 0 was faster
                known = runs.get_json(key) or known
    return str(known["run"])


def run_digest(job: ResolvedJob) -> str:
    """12 hex digits of the digest of recipe or script, the program's files, and the data's names, sizes and etags.

    The folder of the manifest is left out: a job that has moved is the same job.
    """
    spec, folder = job.spec, Path(job.folder or ".")
    part = spec.recipe or spec.script
    if part is None:
        raise ValueError("a job has a recipe or a script")
    data = spec.recipe.data if spec.recipe else spec.script.data if spec.script else None
    document = {
        "job": _without_folder(part.model_dump(mode="json"), f"file://{folder}"),
        "files": {path.name: digest(path.read_bytes()) for path in program_files(job, folder)},
        "archive": _archive_etag(job),
        "data": list_source(data, spec.storage).digest() if data else None,
    }
    return digest128(canonical_json(document))[:12]


def program_files(job: ResolvedJob, folder: Path) -> list[Path]:
    """The user's own code beside the manifest: files that the command names, the program's neighbours, the model."""
    if job.spec.script:
        command = job.spec.script.command
        module = command[1] if command[0] == "-m" and len(command) > 1 else None
        named = [folder / argument for argument in command if (folder / argument).is_file()]
        beside = folder / module.replace(".", "/") if module else (folder / command[0]).parent
    elif job.spec.recipe and ":" in job.spec.recipe.model.type:
        module = job.spec.recipe.model.type.partition(":")[0]
        named, beside = [], folder / module.replace(".", "/")
    else:
        return []
    if not beside.is_dir():
        beside = beside.parent
    neighbours = list(beside.glob("*.py")) if beside.is_dir() else []
    return sorted({*named, *neighbours})


def _without_folder(value: Any, folder: str) -> Any:
    if isinstance(value, dict):
        return {key: _without_folder(item, folder) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_folder(item, folder) for item in value]
    return value.removeprefix(folder) if isinstance(value, str) else value


def _archive_etag(job: ResolvedJob) -> str | None:
    source = job.spec.script.source if job.spec.script else None
    if not source:
        return None
    parent, _, name = source.rpartition("/")
    info = open_store(parent, job.spec.storage).head(name)
    return info.etag if info else None
