"""Samples that can't be decoded: left out at their position, counted, and too many of them an error."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainyard_api.errors import TrainyardError
from trainyard_trainer.data.order import Rows


@dataclass(frozen=True, slots=True)
class BadSample:
    """A sample that can't be decoded."""

    shard: str
    key: str
    reason: str


class Quarantine:
    """The bad samples met so far, each once. Threads may add to it."""

    def __init__(self, samples: int, max_share: float) -> None:
        """`samples`: how many there are in all; `max_share`: the share of them that may be bad."""
        self._most = samples * max_share
        self._samples = samples
        self._bad: dict[int, BadSample] = {}

    @property
    def samples(self) -> list[BadSample]:
        """The bad samples."""
        return list(self._bad.values())

    def add(self, row: int, bad: BadSample) -> None:
        """Note that sample `row` of the split is bad. Raises TrainyardError BadSamples if there are too many now."""
        self._bad[row] = bad
        if len(self._bad) > self._most:
            raise TrainyardError(
                f"{len(self._bad)} of {self._samples} samples can't be read; the last: {bad.key}: {bad.reason}",
                bad.shard,
                "Repair the data, or allow more by recipe.data.maxBadShare.",
                cause="BadSamples",
            )

    def silence(self, rows: Rows, weights: NDArray[np.float32]) -> None:
        """Set the weight of the bad samples among `rows` to 0."""
        if self._bad:
            weights[np.isin(rows, list(self._bad))] = 0
