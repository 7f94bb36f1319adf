"""Tables: Parquet scanned where it lies, CSV and JSON Lines scanned as local files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from trainyard_api.errors import TrainyardError
from trainyard_api.job import Storage
from trainyard_api.recipe import Data
from trainyard_storage.faults import explain
from trainyard_storage.source import SourceFile, SourceListing
from trainyard_storage.store import open_store
from trainyard_trainer.sources.bad import BadSamples
from trainyard_trainer.sources.csv import csv_scan
from trainyard_trainer.sources.jsonl import jsonl_scan
from trainyard_trainer.sources.lists import with_arrays
from trainyard_trainer.sources.same import check_same

Scan = Callable[[list[SourceFile]], pl.LazyFrame]

FAILURES = (PolarsError, OSError)
"""What a scan raises: for the bytes it can't make sense of, and for those it doesn't get."""


@dataclass
class Tables:
    """Files of one schema."""

    files: tuple[SourceFile, ...]
    scan: Scan
    schema: pl.Schema

    def frames(self, columns: list[pl.Expr]) -> Iterator[tuple[str, pl.DataFrame]]:
        """See Source. Computed by Polars' streaming engine, in pieces of its choice."""
        for split in sorted({file.split for file in self.files}):
            part = self.scan([file for file in self.files if file.split == split])
            try:
                for frame in part.select(columns).collect_batches(maintain_order=False, engine="streaming"):
                    yield split, frame
            except FAILURES as error:
                raise unreadable(self.files, self.scan, error) from error


def open_tables(listing: SourceListing, data: Data, storage: Storage, scratch: Path, bad: BadSamples) -> Tables:
    """Scan the files of `listing`. Raises TrainyardError if one can't be read or has other columns than the first."""
    if listing.format == "parquet":
        scan = _parquet_scan(listing, storage)
    else:
        paths = {file: _local(file, storage, scratch) for file in listing.files}
        try:
            scan = csv_scan(paths, data, scratch, bad) if listing.format == "csv" else jsonl_scan(paths, scratch, bad)
        except PolarsError as error:
            raise _corrupt(listing.files[0].base, error) from error
    schemas: dict[SourceFile, pl.Schema] = {}
    for file in _one_per_split(listing.files) if listing.format != "parquet" else listing.files:
        try:
            schemas[file] = scan([file]).collect_schema()
        except FAILURES as error:
            raise unreadable((file,), scan, error) from error
    check_same(schemas)
    try:
        scan = with_arrays(scan, list(listing.files), bad)
        return Tables(listing.files, scan, scan([listing.files[0]]).collect_schema())
    except FAILURES as error:
        raise unreadable(listing.files, scan, error) from error


def _parquet_scan(listing: SourceListing, storage: Storage) -> Scan:
    options = open_store(listing.files[0].base, storage).polars_options()
    casts = pl.ScanCastOptions(integer_cast=["upcast", "allow-float"], float_cast="upcast")

    def scan(files: list[SourceFile]) -> pl.LazyFrame:
        return pl.scan_parquet(
            [file.uri for file in files],
            storage_options=options,
            credential_provider=None,
            hive_partitioning=False,
            glob=False,
            cast_options=casts,
        )

    return scan


def _one_per_split(files: tuple[SourceFile, ...]) -> list[SourceFile]:
    return list({file.split: file for file in reversed(files)}.values())[::-1]


def _local(file: SourceFile, storage: Storage, scratch: Path) -> Path:
    """Text is read more than once (types first), so it's brought here; a local file is read where it is."""
    if file.uri.startswith("file://"):
        return Path(file.uri.removeprefix("file://"))
    path = scratch / "source" / file.split / file.key
    open_store(file.base, storage).download(file.key, path)
    return path


def unreadable(files: tuple[SourceFile, ...], scan: Scan, error: Exception) -> TrainyardError:
    """What `error` says to a person, with the one file of `files` that can't be read, found by reading each alone."""
    if isinstance(error, OSError):
        return _unreached(files[0].uri if len(files) == 1 else files[0].base, error)
    for file in files:
        try:
            for _ in scan([file]).collect_batches(engine="streaming"):
                pass
        except PolarsError as reason:
            return _corrupt(file.uri, reason)
        except OSError as reason:
            return _unreached(file.uri, reason)
    return _corrupt(files[0].base, error)


def _unreached(where: str, error: OSError) -> TrainyardError:
    """Storage failed under a scan; Polars reaches it as our own store does, and fails in the same words."""
    told = explain(error, "read", where)
    if isinstance(told, TrainyardError):
        return told
    return TrainyardError(
        "A file was there when the data was listed, and is gone.", where, "Start again.", cause="DataMissing"
    )


def _corrupt(where: str, reason: Exception) -> TrainyardError:
    return TrainyardError(
        f"The file can't be read: {str(reason).splitlines()[0][:300]}",
        where,
        "It is damaged or of another format: make it anew, or leave it out by a pattern in data.uri.",
        cause="DataCorrupt",
    )
