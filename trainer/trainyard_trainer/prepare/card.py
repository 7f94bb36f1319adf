"""The data card: where the data came from, what was done to it and why, and what it looks like."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trainyard_api.documents import CardStep, ColumnCard, DataCard
from trainyard_storage.source import SourceListing
from trainyard_trainer.prepare.split import NAMES, Assignment
from trainyard_trainer.sources import BadSamples


@dataclass
class Card:
    """A card in the making."""

    steps: list[CardStep] = field(default_factory=list)
    columns: list[ColumnCard] = field(default_factory=list)

    def step(self, step: str, split: str, rows_in: int, rows_out: int, why: str) -> int:
        """Note what a step did to the rows of a split; returns `rows_out`."""
        self.steps.append(CardStep(step=step, split=split, rowsIn=rows_in, rowsOut=rows_out, why=why))
        return rows_out

    def left_out(self, column: str, rows: int, why: str) -> None:
        """Note that a column is no input."""
        self.step("leave out column", "all", rows, rows, f"{column}: {why}")

    def finish(
        self,
        source: str,
        listing: SourceListing,
        rows: int,
        bad: BadSamples,
        split: Assignment,
        classes: list[str],
        codes: NDArray[np.int32] | None,
    ) -> DataCard:
        """The finished card."""
        counts: dict[str, dict[str, int]] = {}
        if codes is not None:
            for index, name in enumerate(NAMES):
                found = np.bincount(codes[split == index], minlength=len(classes)).tolist()
                counts[name] = dict(zip(classes, found, strict=True))
        return DataCard(
            source=source,
            files=len(listing.files),
            bytes=listing.bytes,
            rows=rows,
            badSamples=bad.count,
            badExamples=bad.examples,
            steps=self.steps,
            columns=self.columns,
            splits=dict(zip(NAMES, np.bincount(split, minlength=256)[:3].tolist(), strict=True)),
            classCounts=counts,
        )
