"""The order of the rows, and which of them are left out before the split."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainyard_trainer.prepare.ingest import GROUP, NO_TARGET, NO_VALUE
from trainyard_trainer.prepare.rows import Order, Rows
from trainyard_trainer.prepare.spill import GIVEN, KEY, KEY2, MISSING, Bucket


@dataclass
class Dropped:
    """Rows left out before the split, by reason."""

    duplicates: int = 0
    no_target: int = 0
    missing: int = 0


def sort_rows(
    buckets: list[Bucket], *, drop_duplicates: bool, grouped: bool
) -> tuple[Rows, NDArray[np.uint64], Dropped]:
    """Sort every bucket by key and leave out duplicates, rows without target and rows without a needed value.

    Of equal rows in several given splits the test's stays, else the validation's, so that no row is trained on that
    is tested on. Returns the rows with the split they were given in (else 0), and the hash of each row's group where
    `grouped`.
    """
    dropped = Dropped()
    orders: list[Order] = []
    splits: list[NDArray[np.uint8]] = []
    groups: list[NDArray[np.uint64]] = []
    for bucket in buckets:
        frame = bucket.read([KEY, KEY2, MISSING, GIVEN, *([GROUP] if grouped else [])])
        key, key2, given = frame[KEY].to_numpy(), frame[KEY2].to_numpy(), frame[GIVEN].to_numpy()
        order = _sorted(key, key2, given)
        if drop_duplicates:
            unique = np.concatenate([[True], ~(_repeats(key[order]) & _repeats(key2[order]))])
            dropped.duplicates += len(order) - int(unique.sum())
            order = order[unique]
        flags = frame[MISSING].to_numpy()[order]
        dropped.no_target += int(np.count_nonzero(flags & NO_TARGET))
        dropped.missing += int(np.count_nonzero(flags == NO_VALUE))
        order = order[flags == 0]
        orders.append(order.astype(np.uint32))
        splits.append(given[order])
        if grouped:
            groups.append(frame[GROUP].to_numpy()[order])
    empty = np.empty(0, np.uint64)
    return (
        Rows(buckets, orders, np.concatenate([np.empty(0, np.uint8), *splits])),
        np.concatenate([empty, *groups]),
        dropped,
    )


def _sorted(key: NDArray[np.uint64], key2: NDArray[np.uint64], given: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Order by key; ties, which are rare, by the second key and then by the given split, the test's first."""
    order = np.argsort(key, kind="stable")
    repeats = _repeats(key[order])
    tied = np.flatnonzero(np.concatenate([[False], repeats]) | np.concatenate([repeats, [False]]))
    rows = order[tied]  # sorted by the first key they keep these places
    order[tied] = rows[np.lexsort((-given[rows].astype(np.int16), key2[rows], key[rows]))]
    return order


def _repeats(values: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether each value but the first equals the one before it."""
    result: NDArray[np.bool_] = values[1:] == values[:-1]
    return result
