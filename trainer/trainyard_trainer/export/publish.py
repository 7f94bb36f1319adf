"""Versions: written once, the manifest last, and never changed."""

from typing import Any

from trainyard_api.canonical import canonical_json
from trainyard_api.documents import Plan
from trainyard_api.errors import TrainyardError
from trainyard_storage import NotFound, Store, digest, digest128

MANIFEST = "manifest.json"
# The files that make a version what it is. The others hold times (model.pt2 is a zip archive) or what was measured.
DEFINING = {"model.safetensors", "model.onnx", "signature.json", "preparation.json"}


def version_of(weights: bytes, plan: Plan) -> str:
    """12 hex digits that name this model: of its weights and its preparation."""
    return digest128(weights + canonical_json(plan.model_dump(mode="json")))[:12]


def manifest_of(files: dict[str, bytes]) -> dict[str, Any]:
    """manifest.json: size and digest of every file."""
    return {"files": {name: {"bytes": len(data), "xxh3": digest(data)} for name, data in sorted(files.items())}}


def write_version(folder: Store, files: dict[str, bytes]) -> str:
    """Publish `files` as one version, and return the digest of its manifest.

    A version that is there already is checked and left as it is.

    :raises TrainyardError: the version is there with other content, or damaged
    """
    there = folder.get_json(MANIFEST)
    if there is not None:
        _same(folder, there, manifest_of(files))
        return digest(canonical_json(there))
    for name, data in files.items():
        folder.put(name, data)
    manifest = canonical_json(manifest_of(files))
    folder.put(MANIFEST, manifest)
    return digest(manifest)


def _same(folder: Store, there: Any, ours: dict[str, Any]) -> None:
    before, now = there["files"], ours["files"]
    other = {name for name in before.keys() | now.keys() if name not in before or name not in now}
    other |= {name for name in before.keys() & now.keys() & DEFINING if before[name] != now[name]}
    if other:
        raise TrainyardError(
            f"This version is published already, with other content in {', '.join(sorted(other))}.",
            where=folder.uri,
            remedy="Versions never change: remove this folder if it isn't needed, or change the job.",
            cause="VersionExists",
        )
    check_files(folder, there)


def check_files(folder: Store, manifest: Any) -> None:
    """Read every file of a published version and compare digests.

    :raises TrainyardError: a file is missing, or isn't what the manifest says
    """
    for name, facts in manifest["files"].items():
        try:
            folder.view(name, xxh3=facts["xxh3"])
        except NotFound as error:
            raise TrainyardError(
                f"{name} is missing in a published version.",
                where=folder.uri,
                remedy="Remove the version's folder, and publish again.",
                cause="DataCorrupt",
            ) from error
