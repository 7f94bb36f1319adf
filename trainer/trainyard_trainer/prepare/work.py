"""What the stage works with, and what it leaves."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from trainyard_api.documents import DataCard, FieldSpec, Plan, Shard
from trainyard_api.errors import TrainyardError
from trainyard_api.recipe import Data
from trainyard_storage.source import SourceListing
from trainyard_trainer.sources import BadSamples, Source


@dataclass
class Prepared:
    """Shards on local disk, or tars where they were, described; `plan` and `raw` in recipe mode only."""

    fields: dict[str, FieldSpec]
    splits: dict[str, list[Shard]]
    card: DataCard
    plan: Plan | None = None
    raw: dict[str, list[Shard]] = field(default_factory=dict)
    format: Literal["parquet", "webdataset"] = "parquet"


@dataclass
class Work:
    """The job's data, opened, and the folders to work in."""

    data: Data
    listing: SourceListing
    source: Source
    bad: BadSamples
    scratch: Path
    output: Path
    world: int
    say: Callable[[str], None]

    @property
    def where(self) -> str:
        """The source, as errors name it."""
        return self.data.uri or (self.data.splits.train if self.data.splits else "")

    @property
    def expected_bytes(self) -> int:
        """About how much the rows take in memory, by what the formats usually shrink them."""
        return self.listing.bytes * (16 if self.listing.format in ("webdataset", "images") else 3)

    def check_read(self, rows: int) -> None:
        """Raise TrainyardError if too many samples were bad, or none was good."""
        self.bad.check(rows, self.data.max_bad_share)
        if not rows:
            raise TrainyardError("The data has no rows.", self.where, "Check data.uri.", cause="EmptyData")

    def check_size(self, trained: int) -> None:
        """Raise TrainyardError if a rank would have nothing to train on."""
        if trained < self.world:
            raise TrainyardError(
                f"The training split has {trained} rows, fewer than the {self.world} processes that train.",
                self.where,
                "Use fewer nodes or processesPerNode, a smaller share for validation and test, or more data.",
                cause="TooFewRows",
            )
