"""Samples of tars as they are, undecoded, for a program of the user's own."""

from collections.abc import Iterator

import polars as pl

from trainyard_api.errors import TrainyardError
from trainyard_api.job import Storage
from trainyard_storage.source import SourceFile, SourceListing
from trainyard_storage.store import open_store
from trainyard_trainer.sources.bad import BadSamples
from trainyard_trainer.sources.tar import Sample, samples

_PIECE_BYTES = 16 * 1024 * 1024


class RawTars:
    """A column of bytes for every ending that the first sample has, and the samples' names in `__key__`."""

    def __init__(self, listing: SourceListing, storage: Storage, bad: BadSamples) -> None:
        """Reads the first sample. Raises TrainyardError if there is none."""
        self._files = listing.files
        self._bad = bad
        self._stores = {base: open_store(base, storage) for base in {file.base for file in listing.files}}
        first = next((sample for file in listing.files for sample in self._samples(file)), None)
        if first is None:
            raise TrainyardError(
                "The tars hold no sample.", listing.files[0].base, "Check data.uri.", cause="EmptyData"
            )
        self._endings = [ending for ending in first if ending != "__key__"]
        self.schema = pl.Schema({"__key__": pl.String(), **{ending: pl.Binary() for ending in self._endings}})

    def frames(self, columns: list[pl.Expr]) -> Iterator[tuple[str, pl.DataFrame]]:
        """See Source."""
        for file in self._files:
            held: list[Sample] = []
            size = 0
            for sample in self._samples(file):
                lacking = [ending for ending in self._endings if ending not in sample]
                if lacking:
                    self._bad.add(f"{file.key}: {sample['__key__'].decode()}", f"has no {', '.join(lacking)}")
                    continue
                held.append(sample)
                size += sum(len(value) for value in sample.values())
                if size >= _PIECE_BYTES:
                    yield file.split, self._frame(held).select(columns)
                    held, size = [], 0
            if held:
                yield file.split, self._frame(held).select(columns)

    def _samples(self, file: SourceFile) -> Iterator[Sample]:
        return samples(self._stores[file.base], file)

    def _frame(self, held: list[Sample]) -> pl.DataFrame:
        values = {ending: [sample[ending] for sample in held] for ending in self._endings}
        return pl.DataFrame({"__key__": [sample["__key__"].decode() for sample in held], **values}, schema=self.schema)
