"""Division of rows into training, validation and test: pure functions of the rows' order, key hashes or classes."""

import numpy as np
from numpy.typing import NDArray

TRAIN, VALIDATION, TEST, DROPPED = 0, 1, 2, 255
NAMES = ("train", "validation", "test")

Assignment = NDArray[np.uint8]


def at_random(rows: int, validation: float, test: float) -> Assignment:
    """Divide rows that are already in random order; the shares are exact to half a row. At least one row trains."""
    tested = min(round(rows * test), max(0, rows - 1))
    validated = min(round(rows * validation), max(0, rows - 1 - tested))
    split = np.full(rows, TRAIN, np.uint8)
    split[:tested] = TEST
    split[tested : tested + validated] = VALIDATION
    return split


def by_key(hashes: NDArray[np.uint64], validation: float, test: float) -> Assignment:
    """Divide by a uniform hash of the key: rows of one key stay together, and keep their split when others come."""
    share = hashes.astype(np.float64) / 2.0**64
    split = np.full(len(hashes), TRAIN, np.uint8)
    split[share < validation + test] = VALIDATION
    split[share < test] = TEST
    return split


def stratified(classes: NDArray[np.integer], validation: float, test: float) -> Assignment:
    """Divide the rows of every class (in random order) by the same shares, by largest remainder.

    So each class is exact to one row, the whole to half a row, and every class keeps at least one training row.
    """
    counts = np.bincount(classes)
    tested = _apportion(counts, test, counts - 1)
    validated = _apportion(counts, validation, counts - 1 - tested)
    order = np.argsort(classes, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    rank = np.empty(len(classes), np.int64)
    rank[order] = np.arange(len(classes)) - np.repeat(starts, counts)
    split = np.full(len(classes), TRAIN, np.uint8)
    split[rank < (tested + validated)[classes]] = VALIDATION
    split[rank < tested[classes]] = TEST
    return split


def _apportion(counts: NDArray[np.int64], share: float, most: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of each class: floor of the share, the rest of the whole to the largest remainders, at most `most`."""
    exact = counts * share
    result: NDArray[np.int64] = np.minimum(np.floor(exact).astype(np.int64), np.maximum(most, 0))
    wanted = round(float(counts.sum()) * share) - int(result.sum())
    for index in np.argsort(-(exact - np.floor(exact)), kind="stable")[: max(0, wanted)]:
        result[index] += result[index] < most[index]
    return result
