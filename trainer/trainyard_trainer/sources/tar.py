"""WebDataset tars: members that share a name up to the first dot are one sample (0001.png, 0001.cls)."""

import io
import json
import tarfile
from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainyard_api.errors import TrainyardError
from trainyard_api.job import Storage
from trainyard_api.recipe import ImageShape
from trainyard_storage.source import SourceFile, SourceListing
from trainyard_storage.store import Store, open_store
from trainyard_trainer.sources.bad import BadSamples
from trainyard_trainer.sources.decode import IMAGE_ENDINGS, ArraySpec, BadSample, decode, first_spec
from trainyard_trainer.sources.samples import gather, sample_schema

ARRAY_ENDINGS = (*IMAGE_ENDINGS, "npy")
_PIECE = 8 * 1024 * 1024

Sample = dict[str, bytes]  # by ending; "__key__" holds the name


class _Pieces(io.RawIOBase):
    """An object read from beginning to end by ranges, so that no tar is ever whole in memory."""

    def __init__(self, store: Store, file: SourceFile) -> None:
        self._store, self._key, self._size = store, file.key, file.size
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._store.get_range(self._key, self._at, min(self._at + len(buffer), self._size))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def samples(store: Store, file: SourceFile) -> Iterator[Sample]:
    """The samples of one tar in its order. Raises TrainyardError DataCorrupt if it isn't a whole tar."""
    sample: Sample = {}
    try:
        with tarfile.open(fileobj=io.BufferedReader(_Pieces(store, file), _PIECE), mode="r|") as tar:
            for member in tar:
                if not member.isfile():
                    continue
                # A name need not be UTF-8, but stands in messages and columns: `caf\xe9`.
                name = member.name.encode(errors="surrogateescape").decode(errors="backslashreplace")
                folder, _, base = name.rpartition("/")
                stem, _, ending = base.partition(".")
                key = f"{folder}/{stem}" if folder else stem
                if sample and sample["__key__"] != key.encode():
                    yield sample
                    sample = {}
                content = tar.extractfile(member)
                sample |= {"__key__": key.encode(), ending.lower(): content.read() if content else b""}
            _check_end(store, file, tar.offset)
    except (tarfile.TarError, EOFError) as error:
        raise TrainyardError(
            f"The tar file is corrupt: {error}.",
            file.uri,
            "Make it anew, or leave it out by a pattern in data.uri.",
            cause="DataCorrupt",
        ) from error
    if sample:
        yield sample


def _check_end(store: Store, file: SourceFile, offset: int) -> None:
    """tarfile takes damage between two members, and a file cut there, for the end."""
    block = store.get_range(file.key, offset, min(offset + tarfile.BLOCKSIZE, file.size))
    if not block or any(block):
        raise tarfile.ReadError("it breaks off" if not block else f"no tar header at byte {offset}")


class TarShards:
    """The samples of WebDataset tars as rows of an array and its class."""

    def __init__(
        self, listing: SourceListing, target: str, storage: Storage, wanted: ImageShape, bad: BadSamples
    ) -> None:
        """Reads samples until one tells the shape of all. Raises TrainyardError if none can be read."""
        self._files = listing.files
        self._target = target
        self._bad = bad
        self._stores = {base: open_store(base, storage) for base in {file.base for file in listing.files}}
        self._tensor, self._spec = self._first(wanted)
        self.schema = sample_schema(self._tensor, target, self._spec)

    def frames(self, columns: list[pl.Expr]) -> Iterator[tuple[str, pl.DataFrame]]:
        """See Source."""
        for file in self._files:
            rows = self._rows(file)
            for frame in gather(rows, self._tensor, self._target, self._spec):
                yield file.split, frame.select(columns)

    def _rows(self, file: SourceFile) -> Iterator[tuple[NDArray[np.generic], str]]:
        for sample in samples(self._stores[file.base], file):
            try:
                ending = _array_ending(sample)
                yield decode(ending, sample[ending], self._spec), _label(sample, self._target)
            except BadSample as bad:
                self._bad.add(f"{file.key}: {sample['__key__'].decode()}", str(bad))

    def _first(self, wanted: ImageShape) -> tuple[str, ArraySpec]:
        """Name of the array's column, and its shape."""
        reason = "is missing: there is none"
        for file in self._files:
            for sample in samples(self._stores[file.base], file):
                try:
                    ending = _array_ending(sample)
                    _label(sample, self._target)
                    spec = first_spec(ending, sample[ending], wanted)
                    decode(ending, sample[ending], spec)
                    return "image" if ending in IMAGE_ENDINGS else "array", spec
                except BadSample as bad:
                    reason = str(bad)
        raise TrainyardError(
            f"No sample can be read; the last one {reason}.",
            self._files[0].uri,
            "A sample is an image (png, jpg) or an array (npy), and a file with its class (cls, or data.target).",
            cause="DataCorrupt",
        )


def _array_ending(sample: Sample) -> str:
    found = [ending for ending in sample if ending.rsplit(".", 1)[-1] in ARRAY_ENDINGS]
    if len(found) != 1:
        raise BadSample(f"has {len(found)} images or arrays (its files: {', '.join(list(sample)[1:])})")
    return found[0]


def _label(sample: Sample, target: str) -> str:
    """The class as text: the file with the target's ending, or the target's key in the sample's JSON."""
    try:
        if target in sample:
            return sample[target].decode().strip()
        values = json.loads(sample["json"])
        label = values[target]
    except (KeyError, ValueError, TypeError):
        raise BadSample(f"has no readable class ({target})") from None
    if isinstance(label, bool) or not isinstance(label, int | float | str):
        raise BadSample(f"has no class in {target}: {type(label).__name__}")
    return str(label)
