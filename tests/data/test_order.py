"""Properties of the sample order: each sample once, the same at any world size, in any process, from any batch."""

import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trainyard_storage import digest
from trainyard_trainer.data.order import SampleOrder

SHARDS = st.lists(st.integers(0, 30), min_size=1, max_size=20)
SIZES = st.sampled_from([1, 2, 3, 4, 6, 8, 12, 16, 64])


def order(rows: list[int], batch_size: int, mixed: int = 64, seed: int = 3, shuffle: bool = True) -> SampleOrder:
    return SampleOrder(rows, dataset_hash="ab", seed=seed, batch_size=batch_size, mixed_shards=mixed, shuffle=shuffle)


def batches(order: SampleOrder, epoch: int) -> list[tuple[list[int], list[float]]]:
    one = order.epoch(epoch)
    return [(rows.tolist(), weights.tolist()) for rows, weights in (one.batch(b) for b in range(order.batches))]


@given(rows=SHARDS, batch_size=SIZES, mixed=st.integers(1, 64), epoch=st.integers(0, 5), shuffle=st.booleans())
def test_every_sample_exactly_once(rows: list[int], batch_size: int, mixed: int, epoch: int, shuffle: bool) -> None:
    one = order(rows, batch_size, mixed, shuffle=shuffle)
    seen: list[int] = []
    for index, (samples, weights) in enumerate(batches(one, epoch)):
        assert len(samples) == len(weights) == batch_size
        real = [sample for sample, weight in zip(samples, weights, strict=True) if weight]
        assert one.epoch(epoch).real_samples(index) == len(real) > 0
        assert all(0 <= sample < sum(rows) for sample in samples)
        seen += real
    assert sorted(seen) == list(range(sum(rows)))


@given(rows=SHARDS, batch_size=SIZES, mixed=st.integers(1, 64), world=st.integers(1, 7), data=st.data())
def test_ranks_split_the_same_batch_and_know_their_shards(
    rows: list[int], batch_size: int, mixed: int, world: int, data: st.DataObject
) -> None:
    one = order(rows, batch_size, mixed)
    first_batch = data.draw(st.integers(0, max(0, one.batches - 1)))
    whole = one.epoch(1)
    cuts = [rank * batch_size // world for rank in range(world + 1)]
    ranks = [(one.epoch(1), low, high) for low, high in pairwise(cuts)]
    loads = [epoch.loads(low, high, first_batch) for epoch, low, high in ranks]
    for index in range(first_batch, one.batches):
        parts = [epoch.batch(index, low, high) for epoch, low, high in ranks]
        samples, weights = whole.batch(index)
        assert np.array_equal(np.concatenate([part[0] for part in parts]), samples)
        assert np.array_equal(np.concatenate([part[1] for part in parts]), weights)
        for (part, _), plan in zip(parts, loads, strict=True):
            shards = np.searchsorted(one.offsets, part, side="right") - 1
            held = [load.shard for load in plan if load.first <= index <= load.last]
            assert len(held) == len(set(held))
            assert set(shards.tolist()) <= set(held)


@given(rows=st.lists(st.integers(20, 60), min_size=1, max_size=20), mixed=st.integers(1, 8))
def test_few_shards_are_open_at_once(rows: list[int], mixed: int) -> None:
    one = order(rows, 16, mixed)
    loads = one.epoch(0).loads(0, 16)
    assert loads == sorted(loads, key=lambda load: load.first)
    for index in range(one.batches):
        # At most `mixed`, twice that in a batch that crosses from one window to the next.
        assert sum(load.first <= index <= load.last for load in loads) <= 2 * mixed


@given(rows=st.lists(st.integers(5, 30), min_size=4, max_size=20), batch_size=SIZES)
def test_epochs_and_seeds_differ(rows: list[int], batch_size: int) -> None:
    one = order(rows, batch_size)
    assert batches(one, 0) == batches(order(rows, batch_size), 0)
    assert batches(one, 0) != batches(one, 1)
    assert batches(one, 0) != batches(order(rows, batch_size, seed=4), 0)


@given(st.integers(0, 3000), st.integers(0, 99))
def test_permutations(count: int, seed: int) -> None:
    permuted = order([1], 1, seed=seed).permutation(count, "x")
    assert sorted(permuted.tolist()) == list(range(count))


def test_without_shuffle_the_order_is_the_manifests() -> None:
    assert [rows for rows, _ in batches(order([3, 0, 4], 4, shuffle=False), 5)] == [[0, 1, 2, 3], [4, 5, 6, 6]]


def test_permutations_are_uniform() -> None:
    """Chi-squared over where each of 8 items lands in 4000 permutations; 49 degrees of freedom, 99.99% below 96."""
    one = order([1], 1)
    counts = np.zeros((8, 8))
    for number in range(4000):
        counts[np.arange(8), one.permutation(8, number)] += 1
    assert ((counts - 500) ** 2 / 500).sum() < 96


PROGRAM = """
from trainyard_trainer.data.order import SampleOrder
order = SampleOrder([5, 9, 2, 30], dataset_hash="ab", seed=3, batch_size=8).epoch(2)
print([order.batch(b)[0].tolist() for b in range(6)])
"""


def test_every_process_sees_the_same_order() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "77")
    }
    one = SampleOrder([5, 9, 2, 30], dataset_hash="ab", seed=3, batch_size=8).epoch(2)
    assert outputs == {f"{[one.batch(b)[0].tolist() for b in range(6)]}\n"}


def test_the_order_never_changes_between_releases() -> None:
    """A resumed run must go on in the order it began with: a changed digest here breaks every checkpoint."""
    one = SampleOrder([40, 7, 60, 33, 90], dataset_hash="ab", seed=3, batch_size=8, mixed_shards=4).epoch(2)
    assert digest(np.concatenate([one.batch(b)[0] for b in range(29)]).astype("<i8").tobytes()) == "eafab5796ccda559"


settings.register_profile("order", print_blob=True, deadline=None, max_examples=60)
settings.load_profile("order")
