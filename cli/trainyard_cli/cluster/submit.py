"""`trainyard submit`: upload what a manifest names, and create or change its job on a cluster."""

import argparse
import copy
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_api.job import JobSpec, Storage, TrainingJob
from trainyard_api.manifest import load_job
from trainyard_api.overrides import override
from trainyard_api.resolve import resolve_on_cluster
from trainyard_api.runtime import DEFAULT_RUNTIME
from trainyard_api.source import Source, read_source
from trainyard_cli.cluster import connection
from trainyard_cli.cluster.applying import apply
from trainyard_cli.cluster.commands import program
from trainyard_cli.cluster.connection import Cluster, Object, connected
from trainyard_cli.cluster.jobs import FINISHED, phase_of
from trainyard_cli.cluster.needs import Needs, needs
from trainyard_cli.cluster.place import runtime_storage
from trainyard_cli.cluster.refusals import Refused


@dataclass(frozen=True)
class Applied:
    """What became of the object."""

    name: str
    namespace: str
    verb: str
    ended: str = ""  # phase in which it has ended


def main(args: argparse.Namespace) -> int:
    """Check, upload, apply, and say what to do next."""
    path = Path(args.file)
    job = load_job(path, args.overrides)
    source = read_source(path)
    override(source, args.overrides)
    wanted = needs(job, path)
    with connected(args) as cluster:
        namespace = _namespace(args, cluster, source)
        storage = _storage(cluster, job.spec, args.storage, wanted)
        _check_storage(job, storage, wanted)
        manifest = _manifest(source, namespace, args.storage)
        _check_object(cluster, manifest, source, path)
        if wanted.anything:
            from trainyard_cli.cluster.upload import upload

            archive = upload(wanted, storage, f"{namespace}/{job.metadata.name}")
            if archive:
                manifest["spec"]["script"]["source"] = archive
        applied = _applied(cluster, manifest, source, path)
    _say(applied, args)
    return ExitCode.OK


def _namespace(args: argparse.Namespace, cluster: Cluster, source: Source) -> str:
    """The manifest's, else the one asked for, else the context's. As kubectl does, two that differ are refused."""
    given = (source.value["metadata"] or {}).get("namespace")
    if given and args.namespace and given != args.namespace:
        raise TrainyardError(
            f"the manifest is for namespace {given}, -n says {args.namespace}",
            source.place(("metadata", "namespace")),
            "make them agree, or leave one of the two out",
        )
    return str(given or cluster.namespace)


def _storage(cluster: Cluster, spec: JobSpec, uri: str | None, wanted: Needs) -> Storage:
    """Where the job will find what is uploaded: its own settings over its runtime's."""
    given = spec.storage.model_dump(exclude_unset=True, exclude_none=True, by_alias=True)
    preset = runtime_storage(cluster, spec.runtime)
    if preset is None and wanted.anything and not (uri or spec.storage.uri):
        raise TrainyardError(
            "where to upload to isn't said, and you may not read the TrainingRuntime that may say it",
            f"TrainingRuntime {spec.runtime or DEFAULT_RUNTIME}",
            "give --storage URI, or ask for the right to get trainingruntimes",
            cause="Forbidden",
        )
    return Storage.model_validate({**(preset or {}), **given, **({"uri": uri} if uri else {})})


def _check_storage(job: TrainingJob, storage: Storage, wanted: Needs) -> None:
    """Refuse what can't be uploaded, and what the operator would refuse. A runtime may be hidden from this reader."""
    if storage.uri or wanted.anything:
        spec = job.spec.model_copy(update={"storage": storage})
        resolve_on_cluster(job.model_copy(update={"spec": spec}), "")


def _manifest(source: Source, namespace: str, storage_uri: str | None) -> Object:
    """What is applied: what the manifest says and nothing else, so that other managers' fields stay theirs."""
    manifest: Object = copy.deepcopy(source.value)
    manifest["metadata"]["namespace"] = namespace
    manifest.pop("status", None)
    if storage_uri:
        manifest["spec"].setdefault("storage", {})["uri"] = storage_uri
    return manifest


def _check_object(cluster: Cluster, manifest: Object, source: Source, path: Path) -> None:
    """Ask the API server before anything is uploaded: a dry run costs milliseconds, an upload may cost minutes."""
    trial = copy.deepcopy(manifest)
    current = _current(cluster, manifest)
    if current and trial["spec"].get("script") and "source" not in trial["spec"]["script"]:
        # The archive's name isn't known yet: whether it has changed, the real call will tell.
        known = (current["spec"].get("script") or {}).get("source")
        trial["spec"]["script"] |= {"source": known} if known else {}
    apply(cluster, trial, source, path, dry_run=True)


def _current(cluster: Cluster, manifest: Object) -> Object | None:
    metadata = manifest["metadata"]
    try:
        return cluster.get(connection.jobs(metadata["namespace"], metadata["name"]))
    except Refused as refused:
        if refused.status == 404 and not refused.no_such_api:
            return None
        raise


def _applied(cluster: Cluster, manifest: Object, source: Source, path: Path) -> Applied:
    before = _current(cluster, manifest)
    after = apply(cluster, manifest, source, path)
    metadata = after["metadata"]
    if before is None:
        verb = "created"
    else:
        same = before["metadata"]["resourceVersion"] == metadata["resourceVersion"]
        verb = "unchanged" if same else "changed"
    phase = phase_of(after)
    return Applied(metadata["name"], metadata["namespace"], verb, phase if phase in FINISHED else "")


def _say(applied: Applied, args: argparse.Namespace) -> None:
    words = [applied.name, "-n", applied.namespace]
    words += ["--context", args.context] if args.context else []
    words += ["--kubeconfig", args.kubeconfig] if args.kubeconfig else []
    named = shlex.join(words)
    sys.stdout.write(f"{applied.namespace}/{applied.name} {applied.verb}\n")
    if applied.ended:
        sys.stdout.write(f"  it has ended ({applied.ended}), and doesn't begin again: {program()} delete {named}\n")
    sys.stdout.write(f"  see how it goes:   {program()} status {named}\n")
    sys.stdout.write(f"  follow its logs:   {program()} logs -f {named}\n")
