"""Opening a source: one interface over tables, tars and image folders."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import polars as pl

from trainyard_api.job import Storage
from trainyard_api.recipe import Data, ImageShape
from trainyard_storage.source import SourceListing
from trainyard_trainer.sources.bad import BadSamples
from trainyard_trainer.sources.images import ImageFolder
from trainyard_trainer.sources.raw import RawTars
from trainyard_trainer.sources.tables import open_tables
from trainyard_trainer.sources.tar import TarShards


class Source(Protocol):
    """Samples as table rows, in no particular order."""

    schema: pl.Schema
    """Name and type of every column."""

    def frames(self, columns: list[pl.Expr]) -> Iterator[tuple[str, pl.DataFrame]]:
        """Pieces of `columns`, each with the split it was given in ("" where splits aren't given)."""


def open_raw(
    listing: SourceListing, data: Data, storage: Storage, image: ImageShape, scratch: Path, bad: BadSamples
) -> Source:
    """Like `open_source`, but for a script, which gets every file of a tar's samples."""
    if listing.format == "webdataset":
        return RawTars(listing, storage, bad)
    return open_source(listing, data, storage, image, scratch, bad)


def open_source(
    listing: SourceListing, data: Data, storage: Storage, image: ImageShape, scratch: Path, bad: BadSamples
) -> Source:
    """Open the files of `listing`. Text tables of object storage are copied into `scratch` first.

    Samples left out while reading are noted in `bad`. Raises TrainyardError DataCorrupt for a file that can't be read.
    """
    if listing.format == "images":
        return ImageFolder(listing, storage, image, bad)
    if listing.format == "webdataset":
        return TarShards(listing, data.target or "cls", storage, image, bad)
    return open_tables(listing, data, storage, scratch, bad)
