"""Server-side apply, and the API server's refusals told field by field, with the lines of the manifest."""

import re
from pathlib import Path

from trainyard_api.errors import TrainyardError
from trainyard_api.problems import Problem
from trainyard_api.source import Location, Source
from trainyard_cli.cluster import connection
from trainyard_cli.cluster.commands import program
from trainyard_cli.cluster.connection import MANAGER, Cluster, Object
from trainyard_cli.cluster.refusals import Refused

_APPLY = {"Content-Type": "application/apply-patch+yaml"}


def apply(cluster: Cluster, manifest: Object, source: Source, path: Path, *, dry_run: bool = False) -> Object:
    """The object as it is afterwards. :raises TrainyardError: it's refused, with every reason"""
    metadata = manifest["metadata"]
    query = {"fieldManager": MANAGER, "fieldValidation": "Strict", **({"dryRun": "All"} if dry_run else {})}
    where = connection.jobs(metadata["namespace"], metadata["name"])
    try:
        return cluster.call("PATCH", where, query, manifest, _APPLY)
    except Refused as refused:
        raise _explained(refused, source, path, metadata) from refused


def _explained(refused: Refused, source: Source, path: Path, metadata: Object) -> Exception:
    causes = refused.details.get("causes") or []
    if refused.status == 409:
        return _conflict(refused, source.value, metadata, causes)
    if refused.status == 404 and refused.details.get("kind") == "namespaces":
        name = metadata["namespace"]
        remedy = f"create it (kubectl create namespace {name}), or name another with -n"
        return TrainyardError(f"there is no namespace {name}", f"{path}", remedy, cause="NotFound")
    if refused.status not in (400, 422):
        return refused
    problems = [_problem(source, cause) for cause in causes] or _unknown_fields(source, refused.message)
    if not problems:
        return TrainyardError(refused.message, str(path), "mend what it names", cause="Refused")
    count = f"{path}: the API server refuses it for {len(problems)} reason{'s' * (len(problems) > 1)}"
    listing = "\n".join(dict.fromkeys(str(problem) for problem in problems))
    return TrainyardError(f"{listing}\n{count}", cause="Refused")


def _problem(source: Source, cause: Object) -> Problem:
    location = _location(str(cause.get("field") or ""), source)
    what, _, remedy = _plain(str(cause.get("message") or "")).partition(": ")
    remedy = remedy or "correct it; docs/api.md says what each field takes"
    return Problem(source.place(location), location, what, remedy)


def _plain(message: str) -> str:
    """Without what the API server puts before a rule's own message: Invalid value: "object": ..."""
    return re.sub(r'^(Invalid value|Forbidden|Required value|Unsupported value): ("[^"]*": )?', "", message)


def _location(field: str, source: Source) -> Location:
    """spec.template.env[0].name as the parts of a location, as far as the manifest has them."""
    location: tuple[str | int, ...] = ()
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", field if field != "<nil>" else ""):
        location += (int(index) if index else name,)
    return location


def _unknown_fields(source: Source, message: str) -> list[Problem]:
    """Strict decoding names its fields in one sentence: unknown field "spec.x", unknown field "spec.y"."""
    found = re.findall(r'(unknown|duplicate) field "([^"]+)"', message)
    remedy = "remove it, or upgrade the resource definition: this cluster's is older than this command line"
    return [
        Problem(source.place(_location(field, source)), _location(field, source), f"{what} field", remedy)
        for what, field in found
    ]


def _conflict(refused: Refused, wanted: Object, metadata: Object, causes: list[Object]) -> TrainyardError:
    """Another manager has set the fields: a GitOps tool, kubectl, or our own suspend and resume."""
    fields = ", ".join(str(cause.get("field", "")).lstrip(".") for cause in causes) or refused.message
    others = sorted(set(re.findall(r'conflict with "([^"]+)"', refused.message + str(causes))))
    if others == [MANAGER]:
        command = "suspend" if wanted["spec"].get("suspend") else "resume"
        return TrainyardError(
            f"{program()} suspend or resume has set {fields} to another value",
            f"TrainingJob {metadata['namespace']}/{metadata['name']}",
            f"{program()} {command} {metadata['name']} -n {metadata['namespace']}, or take suspend out of the manifest",
            cause="Conflict",
        )
    return TrainyardError(
        f"{', '.join(others) or 'another manager'} has set {fields} to another value",
        f"TrainingJob {metadata['namespace']}/{metadata['name']}",
        "change it there (if it comes from a repository, in the repository), or delete the job and submit it anew",
        cause="Conflict",
    )
