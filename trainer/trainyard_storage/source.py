"""Which files a job's data consists of: enough to tell one set of data from another, without opening any."""

import re
from collections import Counter
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, cast

from trainyard_api.canonical import canonical_json
from trainyard_api.errors import TrainyardError
from trainyard_api.job import Storage
from trainyard_api.recipe import Data
from trainyard_storage.digests import digest128
from trainyard_storage.faults import NotFound
from trainyard_storage.store import ObjectInfo, Store, open_store

Format = Literal["csv", "parquet", "jsonl", "webdataset", "images"]
SPLITS = ("train", "validation", "test")
ENDINGS: dict[str, Format] = {
    ".csv": "csv",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".tar": "webdataset",
    ".png": "images",
    ".jpg": "images",
    ".jpeg": "images",
}
_WILD = re.compile(r"[*?\[]")
_RESULT = re.compile(r"[^/]+/[^/]+/[0-9a-f]{12}/")  # <namespace>/<job>/<run>/; data may lie beside, as `submit` puts it


@dataclass(frozen=True)
class SourceFile:
    """One file of the source: where it is, and what tells its content from another's."""

    base: str  # URI of the folder that was listed
    key: str  # relative to `base`
    size: int
    etag: str
    split: str = ""  # train, validation or test where the splits are given

    @property
    def uri(self) -> str:
        """Where the file is."""
        return f"{self.base.rstrip('/')}/{self.key}"


@dataclass(frozen=True)
class SourceListing:
    """The files of a data set, sorted by split and name, and their format."""

    format: Format
    files: tuple[SourceFile, ...]

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(file.size for file in self.files)

    def digest(self) -> str:
        """xxh3_128 of format, names, sizes and etags: 32 hex digits. Where the data is doesn't matter."""
        files = [[file.split, file.key, file.size, file.etag] for file in self.files]
        return digest128(canonical_json([self.format, files]))


def list_source(data: Data, storage: Storage) -> SourceListing:
    """List the files of `data` by name, and decide their format.

    Hidden files, and results of earlier runs under `storage.uri`, are left out.
    Raises TrainyardError if nothing is there, everything is empty, or the format can't be told.
    """
    places = [("", data.uri)] if data.splits is None else [(name, getattr(data.splits, name)) for name in SPLITS]
    files = [file for split, uri in places if uri for file in _files(uri, split, storage)]
    where = ", ".join(uri for _, uri in places if uri)
    decided = _decide_format(files, where) if data.format == "auto" else data.format
    chosen = [file for file in files if _belongs(file, decided, alone=len(files) == 1)]
    if not sum(file.size for file in chosen):
        raise TrainyardError(
            f"The data is empty: no {decided} file with anything in it, among {len(files)} files.",
            where,
            "Check data.uri and data.format.",
            cause="EmptyData",
        )
    return SourceListing(decided, tuple(sorted(chosen, key=lambda file: (file.split, file.base, file.key))))


def _files(uri: str, split: str, storage: Storage) -> list[SourceFile]:
    """What `uri` names: one file, the files of a folder, or those that a pattern matches."""
    store, infos = _file_or_folder(uri, storage)
    if not infos and (wild := _WILD.search(uri)):  # else the name of something that is there
        folder = uri[: uri.rindex("/", 0, wild.start()) + 1]
        store = open_store(folder, storage)
        pattern = _pattern(uri[len(folder) :])
        infos = [info for info in store.list(_fixed_start(uri[len(folder) :])) if pattern.fullmatch(info.key)]
    results = open_store(storage.uri, storage).uri.rstrip("/") + "/" if storage.uri else None
    found = [SourceFile(store.uri, info.key, info.size, info.etag, split) for info in infos]
    files = [file for file in found if not _hidden(file) and not (results and _is_result(file.uri, results))]
    if found and not files:
        raise _nothing_wanted(found[0], uri, storage)
    if not files:
        raise _nothing_at(uri, storage)
    return files


def _file_or_folder(uri: str, storage: Storage) -> tuple[Store, list[ObjectInfo]]:
    parent, _, name = uri.rstrip("/").rpartition("/")
    if parent and not parent.endswith("/"):  # not the bucket or the root itself
        store = open_store(parent, storage)
        try:
            info = store.head(name)
        except NotFound:
            info = None
        if info is not None:
            return store, [info]
    store = open_store(uri, storage)
    return store, list(store.list())


def _nothing_wanted(file: SourceFile, uri: str, storage: Storage) -> TrainyardError:
    """Says why what is there isn't read."""
    if _hidden(file):
        return TrainyardError(
            f"There are only hidden files here, like {file.key}: names that begin with a dot or an underscore.",
            uri,
            "Give the data another name, or name another place in data.uri.",
            cause="NoData",
        )
    return TrainyardError(
        f"What is here are results of a run under storage.uri ({storage.uri}): they are never read as data.",
        uri,
        "Copy the data to another place, or name another one in storage.uri.",
        cause="NoData",
    )


def _nothing_at(uri: str, storage: Storage) -> TrainyardError:
    """Says what was looked for, and which names nearby are like it."""
    parent, _, name = uri.rstrip("/").rpartition("/")
    near: list[str] = []
    if not parent.endswith("/") and not _WILD.search(parent) and not uri.startswith("s3://"):  # a bucket may be huge
        names = {info.key.split("/")[0] for info in open_store(parent, storage).list()}
        near = get_close_matches(name, sorted(names), n=1)
    hint = f" Did you mean {parent}/{near[0]}?" if near else ""
    return TrainyardError("There is no data here.", uri, f"Check data.uri.{hint}", cause="NoData")


def _decide_format(files: list[SourceFile], where: str) -> Format:
    counts = Counter(ENDINGS[ending] for file in files if (ending := _ending(file)) in ENDINGS)
    if len(counts) == 1:
        return next(iter(counts))
    what = f"a mixture of {' and '.join(sorted(counts))}" if counts else "no file with an ending that tells"
    raise TrainyardError(
        f"The format of the data can't be told: {what}.",
        where,
        "Set data.format to csv, parquet, jsonl, webdataset or images, or name the files by a pattern.",
        cause="UnknownFormat",
    )


def _belongs(file: SourceFile, format: Format, *, alone: bool) -> bool:
    """Whether a file holds data of `format`; one that was named by itself does whatever its name is."""
    if format == "images":
        return ENDINGS.get(_ending(file)) == "images" and "/" in file.key
    return alone or ENDINGS.get(_ending(file)) == format


def _is_result(uri: str, results: str) -> bool:
    return uri.startswith(results) and _RESULT.match(uri[len(results) :]) is not None


def _hidden(file: SourceFile) -> bool:
    return any(part.startswith((".", "_")) for part in file.key.split("/"))


def _ending(file: SourceFile) -> str:
    name = file.key.rsplit("/", 1)[-1]
    return "." + name.rsplit(".", 1)[-1].lower() if "." in name else ""


def _fixed_start(pattern: str) -> str:
    """The part of `pattern` before its first wildcard."""
    return cast(re.Match[str], re.match(r"[^*?\[]*", pattern))[0]


def _pattern(pattern: str) -> re.Pattern[str]:
    """`*` and `?` within one name, `**` over folders, `[...]` one of these characters."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern)
    meaning = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    return re.compile("".join(meaning.get(p, p if p.startswith("[") else re.escape(p)) for p in parts))
