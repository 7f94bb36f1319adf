"""Properties of the division into training, validation and test."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainyard_trainer.prepare.split import TEST, TRAIN, VALIDATION, at_random, by_key, stratified

shares = st.tuples(st.floats(0, 0.6), st.floats(0, 0.39))


@given(st.integers(1, 5000), shares)
def test_random_shares_are_exact(rows: int, share: tuple[float, float]) -> None:
    split = at_random(rows, *share)
    counts = np.bincount(split, minlength=3)
    assert counts.sum() == rows
    assert counts[TRAIN] >= 1
    if rows > 10:
        assert abs(counts[VALIDATION] - rows * share[0]) <= 0.5
        assert abs(counts[TEST] - rows * share[1]) <= 0.5


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=200), shares)
def test_rows_of_one_key_stay_together(hashes: list[int], share: tuple[float, float]) -> None:
    keys = np.array(hashes, np.uint64)
    twice = np.concatenate([keys, keys[::-1]])
    split = by_key(twice, *share)
    assert (split[: len(keys)] == split[len(keys) :][::-1]).all()


@given(st.lists(st.integers(0, 2**64 - 1), min_size=2, max_size=200), shares)
def test_a_key_keeps_its_split_when_rows_come(hashes: list[int], share: tuple[float, float]) -> None:
    keys = np.array(hashes, np.uint64)
    assert (by_key(keys, *share)[: len(keys) // 2] == by_key(keys[: len(keys) // 2], *share)).all()


def test_key_shares_hold_on_the_whole() -> None:
    keys = np.random.default_rng(5).integers(0, 2**64, 100_000, np.uint64)
    counts = np.bincount(by_key(keys, 0.1, 0.2), minlength=3) / len(keys)
    assert counts == pytest.approx([0.7, 0.1, 0.2], abs=0.01)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=400), shares)
def test_every_class_has_its_share(classes: list[int], share: tuple[float, float]) -> None:
    codes = np.array(classes)
    split = stratified(codes, *share)
    for code in np.unique(codes):
        counts = np.bincount(split[codes == code], minlength=3)
        assert counts[TRAIN] >= 1
        if counts.sum() > 20:
            assert abs(counts[VALIDATION] - counts.sum() * share[0]) <= 1
            assert abs(counts[TEST] - counts.sum() * share[1]) <= 1


@given(st.lists(st.integers(0, 3), min_size=200, max_size=400))
def test_stratified_whole_is_exact(classes: list[int]) -> None:
    counts = np.bincount(stratified(np.array(classes), 0.1, 0.2), minlength=3)
    assert abs(counts[VALIDATION] - len(classes) * 0.1) <= 0.5
    assert abs(counts[TEST] - len(classes) * 0.2) <= 0.5
