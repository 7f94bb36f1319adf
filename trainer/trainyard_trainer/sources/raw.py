"""Samples of tars for a program of the user's own: arrays, classes and texts decoded, all else as its bytes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from trainyard_api.documents import FieldSpec
from trainyard_api.errors import TrainyardError
from trainyard_api.job import Storage
from trainyard_storage.source import SourceFile, SourceListing
from trainyard_storage.store import open_store
from trainyard_trainer.data.index import sample_fields
from trainyard_trainer.data.shards import KEY, value
from trainyard_trainer.sources.bad import BadSamples
from trainyard_trainer.sources.tar import Sample, samples

_PIECE_BYTES = 16 * 1024 * 1024


class RawTars:
    """A column for every ending that the first sample has, and the samples' names in `__key__`.

    `fields` says what the columns hold; an array is its bytes in C order.
    """

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
        self.fields = self._fields(first)
        self._endings = [name for name in self.fields if name != KEY]
        self.schema = pl.Schema({name: _stored_type(spec) for name, spec in self.fields.items()})

    def frames(self, columns: list[pl.Expr]) -> Iterator[tuple[str, pl.DataFrame]]:
        """See Source."""
        for file in self._files:
            held: list[dict[str, Any]] = []
            size = 0
            for sample in self._samples(file):
                try:
                    held.append(self._row(sample))
                except Exception as error:  # noqa: BLE001 - whatever a decoder raises, it is the sample that is bad
                    self._bad.add(f"{file.key}: {sample[KEY].decode()}", str(error) or type(error).__name__)
                    continue
                size += sum(len(data) for data in sample.values())
                if size >= _PIECE_BYTES:
                    yield file.split, pl.DataFrame(held, schema=self.schema).select(columns)
                    held, size = [], 0
            if held:
                yield file.split, pl.DataFrame(held, schema=self.schema).select(columns)

    def _samples(self, file: SourceFile) -> Iterator[Sample]:
        return samples(self._stores[file.base], file)

    def _fields(self, first: Sample) -> dict[str, FieldSpec]:
        try:
            return sample_fields({ending: data for ending, data in first.items() if ending != KEY})
        except Exception as error:
            name = first[KEY].decode()
            raise TrainyardError(
                f"The first sample, {name}, can't be decoded: {error}",
                self._files[0].base,
                "Mend it or leave it out: it tells what all samples hold.",
                cause="DataCorrupt",
            ) from error

    def _row(self, sample: Sample) -> dict[str, Any]:
        """A sample as it is kept. Raises what its decoders do."""
        row: dict[str, Any] = {KEY: sample[KEY].decode()}
        for ending in self._endings:
            found = value(ending, sample, self.fields[ending])
            if self.schema[ending] != pl.Binary:
                row[ending] = found.item() if isinstance(found, np.ndarray) else found
            else:
                row[ending] = found.tobytes() if isinstance(found, np.ndarray) else sample[ending]
        return row


def _stored_type(spec: FieldSpec) -> pl.DataType:
    """Of the column that holds such values."""
    if spec.dtype == "str":
        return pl.String()
    return pl.Int64() if spec.dtype == "int64" and not spec.shape else pl.Binary()
