"""`trainyard convert`: Kubeflow's PyTorchJob and TrainJob as TrainingJobs."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from trainyard_api.check import check
from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_api.source import Source, parse_documents, parse_value
from trainyard_cli.kubeflow import pytorchjob, trainjob
from trainyard_cli.kubeflow.converted import Converted, Values

_KINDS: dict[tuple[str, str], Callable[[Values], Converted]] = {
    ("kubeflow.org", "PyTorchJob"): pytorchjob.convert,
    ("trainer.kubeflow.org", "TrainJob"): trainjob.convert,
}
_STORAGE = (
    "spec.storage.uri: checkpoints, logs and the model go there; absent, the TrainingRuntime's. "
    "docs/script.md: six calls give a program checkpoints, curves and a published model"
)


def main(args: argparse.Namespace) -> int:
    """Print a TrainingJob for each job in `args.file`; what doesn't come over stands in comments above it."""
    name = "standard input" if args.file == "-" else args.file
    documents = _read(args.file, name)
    parts = [_convert(document, f"{name}, document {number}") for number, document in enumerate(documents, start=1)]
    if not any(text for text, _ in parts):
        raise TrainyardError(
            "there is no PyTorchJob and no TrainJob in it",
            name,
            f"it holds: {', '.join(sorted({str(document.get('kind')) for document in documents})) or 'nothing'}",
        )
    sys.stdout.write("---\n".join(text for text, _ in parts if text))
    for said in [said for _, said in parts if said]:
        sys.stderr.write(f"{said}\n")
    return ExitCode.OK


def _read(file: str, name: str) -> list[Values]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
        documents = [document for document in parse_documents(text) if document is not None]
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise TrainyardError(f"the file can't be read: {said}", name, "check the path") from error
    except (yaml.YAMLError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise TrainyardError(f"not valid YAML: {said}", name, "`kubectl apply --dry-run=client -f` shows it") from error
    flat = [item for document in documents for item in _items(document)]
    if not all(isinstance(document, dict) for document in flat):
        raise TrainyardError("a document isn't a Kubernetes object", name, "give manifests, one after another")
    return flat


def _items(document: Any) -> list[Any]:
    """What `kubectl get -o yaml` wraps into a List."""
    if isinstance(document, dict) and document.get("kind") == "List":
        return list(document.get("items") or [])
    return [document]


def _convert(document: Values, place: str) -> tuple[str, str]:
    """The manifest with its comments, or "" and what to say about a document that is something else."""
    group, kind = str(document.get("apiVersion") or "").partition("/")[0], str(document.get("kind"))
    if (convert := _KINDS.get((group, kind))) is None:
        return "", f"{place}: {kind} is left out: keep it as it is"
    try:
        converted = convert(document)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise TrainyardError(
            f"the {kind} isn't one that its own API takes: {error}", place, "kubectl apply --dry-run=server says why"
        ) from error
    manifest = converted.manifest()
    problems = check(Source(manifest, {(): place}))
    if problems:
        listing = "\n".join(str(problem) for problem in problems)
        raise TrainyardError(f"{listing}\nthe {kind} can't be carried over as it is", place, "change that first")
    head = f"Converted from {kind} {converted.metadata['name']}."
    notes = [*converted.notes, _STORAGE]
    comments = [f"# {head}\n", *(_comment(note) for note in notes)]
    return "".join(comments) + written(manifest), ""


def written(manifest: Values) -> str:
    """`manifest` as YAML that kubectl and our own reader read back as the same values."""
    return yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    pass


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """PyYAML quotes what YAML 1.1 takes for something else than text; kubectl reads 1e-4 as a number, and y as true."""
    taken = text in ("y", "Y", "n", "N") or (text[:1] in "+-.0123456789" and _number(text))
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'" if taken else None)


def _number(text: str) -> bool:
    try:
        return not isinstance(parse_value(text), str)
    except yaml.YAMLError:
        return False


_Dumper.add_representer(str, _text)


def _comment(note: str) -> str:
    first, *rest = note.splitlines()
    return f"# - {first}\n" + "".join(f"#     {line}\n" for line in rest)
