"""Store: the objects under one URI."""

import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore, S3Store

from trainyard_api.canonical import canonical_json
from trainyard_api.errors import TrainyardError
from trainyard_api.job import Storage
from trainyard_storage.backends import S3Access, local_store, s3_access
from trainyard_storage.digests import Bytes, digest, pieces
from trainyard_storage.faults import STORAGE_ERRORS, NotFound, Verb, damaged, explain

_PART = 8 * 1024 * 1024
_PARTS_AT_ONCE = 4
_CONFLICT_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6)


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object as listed. `etag` changes whenever the bytes may have changed."""

    key: str
    size: int
    etag: str
    modified: datetime


class Store:
    """The objects under one URI: a folder or a bucket's prefix. Safe to share between threads, not across a fork.

    Keys are paths relative to the URI, with `/` between their parts. Every call raises TrainyardError when storage
    fails: StorageDenied, StorageReadOnly, BucketMissing, DiskFull, StorageUnreachable or StorageFailed.
    """

    def __init__(self, backend: LocalStore | S3Store, root: str, prefix: str, access: S3Access | None) -> None:
        self._backend = backend
        self._root = root  # file:/// or s3://bucket/
        self._prefix = prefix
        self._access = access
        self._process = os.getpid()
        self._bucket_seen = access is None
        self.uri = root + prefix

    def __repr__(self) -> str:
        return f"Store({self.uri!r})"

    def child(self, prefix: str) -> "Store":
        """The objects under `prefix`, over the same connections."""
        return Store(self._backend, self._root, _join(self._prefix, prefix), self._access)

    def url(self, key: str) -> str:
        """The whole address of `key`. Never percent-encoded: a name is its own address."""
        return self._root + _join(self._prefix, key)

    def get(self, key: str, *, xxh3: str | None = None) -> bytes:
        """The bytes of `key`. Raises NotFound. For `xxh3` see `view`."""
        return bytes(self.view(key, xxh3=xxh3))

    def view(self, key: str, *, xxh3: str | None = None) -> memoryview:
        """Like `get`, without copying the bytes into a Python object.

        With `xxh3` (16 hex digits, as `digest` gives) they're checked, and read once more if they differ; if they
        still do, TrainyardError DataCorrupt.
        """
        data = self._read(key)
        if xxh3 is None or digest(data) == xxh3:
            return data
        data = self._read(key)
        if (found := digest(data)) != xxh3:
            raise damaged(self.url(key), xxh3, found)
        return data

    def _read(self, key: str) -> memoryview:
        with self._calling("read", key) as path:
            return memoryview(obstore.get(self._backend, path).bytes())

    def get_range(self, key: str, start: int, end: int) -> bytes:
        """Bytes [start, end) of `key`, fewer if it is shorter. Raises NotFound."""
        if start >= end:
            return b""
        with self._calling("read", key) as path:
            return bytes(obstore.get_range(self._backend, path, start=start, end=end))

    def put(self, key: str, data: Bytes | Sequence[Bytes], *, if_absent: bool = False) -> None:
        """Write `data`, or its pieces one after another, as `key`: whole or not at all.

        With `if_absent`, raises FileExistsError if there is such an object already, and leaves it.
        """
        views = pieces(data)
        small = if_absent or sum(view.nbytes for view in views) <= _PART
        with self._calling("write", key) as path:
            if len(views) == 1:
                body: Any = views[0]
            else:
                body = b"".join(views) if small else views
            self._write(path, body, mode="create" if if_absent else "overwrite", use_multipart=not small)

    def head(self, key: str) -> ObjectInfo | None:
        """What a listing would say of `key`; None if there is no such object."""
        try:
            with self._calling("read", key) as path:
                return self._info(obstore.head(self._backend, path))
        except NotFound:
            self._see_bucket()
            return None

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object whose key begins with `prefix`, sorted by key."""
        folder, _, _ = prefix.rpartition("/")
        with self._calling("list", folder) as path:
            found = [self._info(meta) for page in obstore.list(self._backend, path or None) for meta in page]
        self._bucket_seen = True
        yield from sorted((info for info in found if info.key.startswith(prefix)), key=lambda info: info.key)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete `keys`; those that don't exist are no error."""
        paths = [_join(self._prefix, key) for key in keys]
        if self._access is not None and paths:
            with self._calling("delete", keys[0]):
                obstore.delete(self._backend, paths)
            return
        for key, path in zip(keys, paths, strict=True):
            try:
                with self._calling("delete", key):
                    obstore.delete(self._backend, path)
            except NotFound:
                continue

    def get_json(self, key: str) -> Any | None:
        """The JSON value in `key`; None if there is no such object. Raises DataCorrupt if it isn't JSON."""
        try:
            return json.loads(self.get(key))
        except NotFound:
            return None
        except ValueError as error:
            raise TrainyardError(
                f"Not JSON: {error}", self.url(key), "Delete it, so that it is made again.", cause="DataCorrupt"
            ) from error

    def put_json(self, key: str, value: Any, *, if_absent: bool = False) -> None:
        """Write `value` as canonical JSON. For `if_absent` see `put`."""
        self.put(key, canonical_json(value), if_absent=if_absent)

    def download(self, key: str, path: Path) -> None:
        """Copy `key` into the file `path`, in pieces: memory stays small. `path` appears when it is complete."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            try:
                with self._calling("read", key) as name:
                    for chunk in obstore.get(self._backend, name).stream(min_chunk_size=_PART):
                        file.write(chunk)
                file.close()
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise

    def upload(self, path: Path, key: str) -> None:
        """Copy the file `path` to `key`, in pieces: memory stays small. FileNotFoundError if there is no `path`."""
        path.stat()
        with self._calling("write", key) as name:
            self._write(name, path, mode="overwrite")

    def polars_options(self) -> dict[str, Any] | None:
        """`storage_options` with which polars reads `url(key)`; None for files."""
        return self._access.polars_options() if self._access else None

    def _write(self, path: str, body: Any, *, mode: Literal["create", "overwrite"], **options: Any) -> None:
        """Write over whatever is there; a service that answers 409 all the same has two writers at once: try again."""
        options |= {"mode": mode, "chunk_size": _PART, "max_concurrency": _PARTS_AT_ONCE}
        for pause in _CONFLICT_SECONDS:
            try:
                obstore.put(self._backend, path, body, **options)
            except AlreadyExistsError:
                if mode == "create":
                    raise
                time.sleep(pause)
            else:
                return
        raise OSError("The storage service answers 409 (a conflict) again and again.")

    @contextmanager
    def _calling(self, verb: Verb, key: str) -> Iterator[str]:
        """The full path of `key`; what obstore raises inside comes out as one of our errors."""
        if os.getpid() != self._process:
            # obstore's threads don't survive a fork: the call would wait for ever.
            raise RuntimeError(f"{self!r} was opened before a fork: open it again here, or use threads or spawn")
        path = _join(self._prefix, key)
        try:
            yield path
        except AlreadyExistsError as error:
            raise FileExistsError(self._root + path) from error
        except STORAGE_ERRORS as error:
            raise explain(error, verb, self._root + path) from error

    def _see_bucket(self) -> None:
        """An answer to HEAD has no body, so it can't tell a missing bucket from a missing object: a listing can."""
        if not self._bucket_seen:
            with self._calling("list", ""):
                next(iter(obstore.list(self._backend, self._prefix or None, chunk_size=1)), None)
            self._bucket_seen = True

    def _info(self, meta: Any) -> ObjectInfo:
        key = meta["path"][len(self._prefix) :].lstrip("/")
        return ObjectInfo(key, meta["size"], (meta["e_tag"] or "").strip('"'), meta["last_modified"])


def open_store(uri: str, storage: Storage | None = None) -> Store:
    """The store at `uri`: a path, file:///folder or s3://bucket/prefix. Nothing is created or contacted yet.

    `storage` gives endpoint and region where they're not the environment's. Raises TrainyardError for another scheme,
    an S3 URI without bucket, or missing credentials.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme == "file":
        path = Path(rest if separator else uri).expanduser().absolute()
        return Store(local_store(), "file:///", os.path.normpath(path).strip("/"), None)
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise TrainyardError(
            "Not a storage URI." if scheme != "s3" else "The URI has no bucket.",
            uri,
            "Write s3://bucket/prefix, file:///folder, or a path.",
            cause="StorageUri",
        )
    access = s3_access(storage.endpoint if storage else None, storage.region if storage else None)
    return Store(access.store(bucket), f"s3://{bucket}/", prefix.strip("/"), access)


def _join(prefix: str, key: str) -> str:
    return "/".join(part for part in (prefix, key.strip("/")) if part)
