"""Image folders: one folder per class, PNG or JPEG files in it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainyard_api.errors import TrainyardError
from trainyard_api.job import Storage
from trainyard_api.recipe import ImageShape
from trainyard_storage.faults import NotFound
from trainyard_storage.source import SourceFile, SourceListing
from trainyard_storage.store import Store, open_store
from trainyard_trainer.sources.bad import BadSamples
from trainyard_trainer.sources.decode import ArraySpec, BadSample, decode, first_spec
from trainyard_trainer.sources.samples import gather, sample_schema

TENSOR, TARGET = "image", "class"
_READS_AT_ONCE = 16
_WINDOW = 256  # files asked for ahead of the one that is taken


class ImageFolder:
    """The files of an image folder as rows of an image and its class: the name of the first folder."""

    def __init__(self, listing: SourceListing, storage: Storage, wanted: ImageShape, bad: BadSamples) -> None:
        """Reads images until one gives the shape of all. Raises TrainyardError if none can be read."""
        self._files = listing.files
        self._bad = bad
        self._stores = {base: open_store(base, storage) for base in {file.base for file in listing.files}}
        self._spec = self._first_spec(wanted)
        self.schema = sample_schema(TENSOR, TARGET, self._spec)

    def frames(self, columns: list[pl.Expr]) -> Iterator[tuple[str, pl.DataFrame]]:
        """See Source."""
        for split in sorted({file.split for file in self._files}):
            files = [file for file in self._files if file.split == split]
            for frame in gather(self._samples(files), TENSOR, TARGET, self._spec):
                yield split, frame.select(columns)

    def _samples(self, files: list[SourceFile]) -> Iterator[tuple[NDArray[np.generic], str]]:
        with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
            for start in range(0, len(files), _WINDOW):
                window = files[start : start + _WINDOW]
                for file, result in zip(window, pool.map(self._read, window), strict=True):
                    if isinstance(result, BadSample):
                        self._bad.add(file.key, str(result))
                    else:
                        yield result, file.key.split("/")[0]

    def _read(self, file: SourceFile) -> NDArray[np.generic] | BadSample:
        try:
            return decode(_ending(file), self._bytes(file), self._spec)
        except BadSample as bad:
            return bad

    def _bytes(self, file: SourceFile) -> bytes:
        store: Store = self._stores[file.base]
        try:
            return store.get(file.key)
        except NotFound as error:
            raise BadSample("was there when the folder was listed, and is gone") from error

    def _first_spec(self, wanted: ImageShape) -> ArraySpec:
        for file in self._files:
            try:
                return first_spec(_ending(file), self._bytes(file), wanted)
            except BadSample:
                continue
        raise TrainyardError(
            f"None of {len(self._files)} images can be read.",
            self._files[0].base,
            "Check that they are PNG or JPEG files.",
            cause="DataCorrupt",
        )


def _ending(file: SourceFile) -> str:
    return file.key.rsplit(".", 1)[-1].lower()
