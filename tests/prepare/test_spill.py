"""Rows sorted through files: as many buckets as it takes, in the order of their keys."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from trainyard_trainer.prepare.spill import KEY, Spill

GB = 1_000_000_000
ROWS = 50_000


@pytest.mark.parametrize(("expected", "buckets"), [(0, 1), (GB, 16), (20 * GB, 256), (90 * GB, 1024), (900 * GB, 1024)])
def test_buckets_of_96_mb_whatever_the_size(tmp_path: Path, expected: int, buckets: int) -> None:
    keys = np.random.default_rng(4).integers(0, 1 << 64, ROWS, np.uint64, endpoint=False)
    spill = Spill(tmp_path / "rows", expected)
    spill.add(pl.DataFrame({KEY: keys}))
    found = [bucket.read([KEY])[KEY].to_numpy() for bucket in spill.finish()]
    assert len(found) == buckets
    assert np.array_equal(np.concatenate([np.sort(part) for part in found]), np.sort(keys))
    assert max(map(len, found)) < 2.5 * ROWS / buckets
