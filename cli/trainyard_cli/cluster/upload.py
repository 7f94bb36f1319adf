"""Uploading data and programs to object storage, with the credentials of whoever submits."""

import gzip
import io
import sys
import tarfile
from pathlib import Path

import xxhash

from trainyard_api.errors import TrainyardError
from trainyard_api.job import Storage
from trainyard_cli.cluster.needs import Needs
from trainyard_cli.cluster.place import from_here
from trainyard_storage import Store, open_store

_CHUNK = 1 << 20
_NOTES = ".trainyard/uploads"  # hidden: no reader of data takes it for data


def upload(wanted: Needs, storage: Storage, owner: str) -> str | None:
    """Upload what isn't there yet; gives the address of the program's archive, if there is a program.

    Data goes where the job looks for it, storage.uri/<relative path>; the archive's name is its content's digest.
    :param owner: <namespace>/<name> of the job
    :raises TrainyardError: storage fails, or another job's data is in the place
    """
    assert storage.uri is not None
    store = open_store(storage.uri, from_here(storage))
    for name in wanted.data:
        _upload_data(store, wanted.folder / name, name, owner)
    if not wanted.program:
        return None
    archive = packed(wanted.folder, wanted.program)
    key = f"code/{xxhash.xxh3_128_hexdigest(archive)}.tar.gz"
    if store.head(key) is None:
        store.put(key, archive)
        sys.stdout.write(f"{len(wanted.program)} files of the program -> {store.url(key)}\n")
    return store.url(key)


def _upload_data(store: Store, path: Path, name: str, owner: str) -> None:
    """One file. What was uploaded is noted with its digest and ETag, so that it goes up once, and nobody's is lost."""
    there, note = store.head(name), store.get_json(f"{_NOTES}/{name}.json") or {}
    digest = _digest(path)
    ours = there is not None and note.get("etag") == there.etag
    if ours and note.get("xxh3") == digest:
        return
    if there is not None and (not ours or note.get("job") != owner):
        raise TrainyardError(
            f"other data is there already{', of job ' + str(note['job']) if ours else ''}: it isn't overwritten",
            store.url(name),
            "rename the file or its folder, or give this job a storage.uri of its own (s3://bucket/prefix)",
            cause="DataTaken",
        )
    store.upload(path, name)
    info = store.head(name)
    store.put_json(f"{_NOTES}/{name}.json", {"job": owner, "xxh3": digest, "etag": info.etag if info else ""})
    sys.stdout.write(f"{path.name} -> {store.url(name)}\n")


def _digest(path: Path) -> str:
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def packed(folder: Path, names: tuple[str, ...]) -> bytes:
    """A .tar.gz of the files `names` of `folder`: the same files give the same bytes, whoever packs them when."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name in names:
            content = (folder / name).read_bytes()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.mode = 0o755 if (folder / name).stat().st_mode & 0o100 else 0o644
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
