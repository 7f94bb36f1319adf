"""Finds a published model, fetches it if it's far away, and checks it against its manifest."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_api.job import Storage
from trainyard_storage import Store, digest, open_store

NEEDED = ("signature.json", "model.onnx")
MARKER = "PUBLISHED.json"
SAMPLE = "sample.json"  # fetched too, where there is one


def resolve_model(uri: str, storage: Storage | None = None) -> Path:
    """Return a local folder with a checked model.

    uri: a model's folder (model/<version>), a finished run's, or a job's (its newest published run), on disk or s3://.
    A model from S3 is kept under ~/.cache/trainyard/models (TRAINYARD_CACHE), by its digests. TrainyardError if there
    is no model, or if a file isn't what the manifest says.
    """
    store = _published(open_store(uri, storage), uri)
    wanted = _digests(store)
    if store.uri.startswith("file://"):
        folder = Path(store.uri.removeprefix("file://"))
        _check(folder, wanted)
        return folder
    folder = _cache() / digest("".join(wanted.values()).encode())
    if not folder.exists():
        _fetch(store, folder, wanted)
    _check(folder, wanted)
    return folder


def _published(store: Store, uri: str) -> Store:
    if store.head("signature.json") is not None:
        return store
    run = _newest(store)
    published = run.get_json(MARKER)
    if published is None:
        raise TrainyardError(
            "There is no published model",
            uri,
            "name a model's folder (model/<version>), or the folder of a run that has ended or of its job",
            cause="ModelMissing",
        )
    return run.child(f"model/{published['version']}")


def _newest(store: Store) -> Store:
    """The run itself; of a job's folder, the run that was published last."""
    if store.head(MARKER) is not None:
        return store
    markers = [info for info in store.list() if info.key.count("/") == 1 and info.key.endswith(f"/{MARKER}")]
    last = max(markers, key=lambda info: info.modified, default=None)
    return store.child(last.key.removesuffix(f"/{MARKER}")) if last else store


def _digests(store: Store) -> dict[str, str]:
    manifest: Any = store.get_json("manifest.json")
    try:
        files = manifest["files"]
        return {name: files[name]["xxh3"] for name in (*NEEDED, *({SAMPLE} & files.keys()))}
    except KeyError as error:
        raise TrainyardError(
            f"The model has no {error.args[0]}", store.uri, "export it with formats: [onnx]", cause="ModelUnusable"
        ) from error
    except TypeError as error:
        raise TrainyardError(
            "The model's manifest.json is missing or invalid",
            store.uri,
            "publish the model again",
            cause="ModelUnusable",
        ) from error


def _check(folder: Path, wanted: dict[str, str]) -> None:
    for name, expected in wanted.items():
        try:
            found = digest((folder / name).read_bytes())
        except OSError as error:
            raise _damaged(folder, f"{name} can't be read: {error.strerror}") from error
        if found != expected:
            raise _damaged(folder, f"{name} isn't what manifest.json says: xxh3 {found}, not {expected}")


def _damaged(folder: Path, why: str) -> TrainyardError:
    return TrainyardError(
        f"The model is damaged: {why}", str(folder), "publish it again; remove a cached copy", cause="ModelDamaged"
    )


def _fetch(store: Store, folder: Path, wanted: dict[str, str]) -> None:
    """Fetch beside `folder`, check, and move: another process sees all of it or nothing."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=folder.parent))
        try:
            for name in wanted:
                store.download(name, staging / name)
            _check(staging, wanted)
            staging.rename(folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        if folder.exists():  # another process was first
            return
        raise TrainyardError(
            f"The model can't be kept: {error.strerror}",
            str(folder),
            "free space, or name another folder in TRAINYARD_CACHE",
            ExitCode.INFRASTRUCTURE,
            "CacheUnwritable",
        ) from error


def _cache() -> Path:
    return Path(os.environ.get("TRAINYARD_CACHE") or Path.home() / ".cache" / "trainyard") / "models"
