"""What is saved by any number of ranks is loaded by any number of ranks, bit for bit."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from support.ranks import Broadcast, run_ranks
from support.s3_server import S3Server
from support.states import assert_same, states
from trainyard_api.errors import TrainyardError
from trainyard_storage import Store, open_store
from trainyard_trainer.checkpoint import Checkpointer, Loaded

Start = Callable[..., Checkpointer]


def save(store: Store, staging: Path, world: int, attempt: int, step: int, state: Any) -> None:
    """`world` ranks save one checkpoint."""

    def work(rank: int, broadcast: Broadcast) -> None:
        ranks = Checkpointer(
            store, rank=rank, world=world, keep=3, attempt=attempt, staging=staging, broadcast=broadcast
        )
        ranks.save(step, state, {"rank": rank, "noise": torch.full((rank + 1,), rank)}, {"epoch": step})
        ranks.wait()

    run_ranks(world, work)


def load(store: Store, staging: Path, world: int, attempt: int) -> list[Loaded | None]:
    """`world` ranks load the newest checkpoint."""

    def work(rank: int, broadcast: Broadcast) -> Loaded | None:
        ranks = Checkpointer(
            store, rank=rank, world=world, keep=3, attempt=attempt, staging=staging, broadcast=broadcast
        )
        return ranks.load_latest()

    return run_ranks(world, work)


@given(states(), st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_any_state_at_any_world_size(state: Any, world: int, new_world: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store, staging = open_store(f"{folder}/checkpoints"), Path(folder) / "staging"
        save(store, staging, world, 1, 7, state)
        for rank, loaded in enumerate(load(store, staging, new_world, 2)):
            assert loaded is not None
            assert (loaded.step, loaded.meta, loaded.skipped) == (7, {"epoch": 7}, [])
            assert_same(loaded.state, state)
            if new_world == world:
                assert_same(loaded.rank_state, {"rank": rank, "noise": torch.full((rank + 1,), rank)})
            else:
                assert loaded.rank_state is None


def test_the_same_over_s3(s3: S3Server, tmp_path: Path) -> None:
    store = open_store(f"{s3.bucket()}/run/checkpoints")
    state = {"weights": torch.randn(3_000_000), "step": torch.tensor(3)}  # parts larger than one upload
    save(store, tmp_path, 2, 1, 3, state)
    for loaded in load(store, tmp_path, 2, 2):
        assert loaded is not None
        assert_same(loaded.state, state)


def test_each_rank_writes_its_share(store: Store, tmp_path: Path) -> None:
    save(store, tmp_path, 3, 1, 5, {"weights": torch.arange(3000)})
    sizes = [info.size for info in store.list() if info.key[:-1].endswith("part-000")]
    assert sizes == [8008, 8016, 8024]  # a third of 24000 bytes, and 1, 2 and 3 integers of the rank's own


def test_nothing_saved_is_none(start: Start) -> None:
    assert start().load_latest() is None


def assert_all_whole(store: Store, staging: Path, steps: list[int]) -> None:
    """The checkpoints are of `steps`, newest first, and in each every element is the step."""
    for attempt, step in enumerate(steps, start=2):
        (loaded,) = load(store, staging, 1, attempt)
        assert loaded is not None
        assert (loaded.step, loaded.skipped) == (step, [])
        assert_same(loaded.state["weights"], torch.full_like(loaded.state["weights"], step))
        store.delete([info.key for info in store.list(f"step-{step:08d}/")])


def test_what_changes_after_save_returns_is_not_saved(start: Start, store: Store, tmp_path: Path) -> None:
    weights, meta, history = torch.zeros(5_000_000), {"epoch": 0}, [1]
    checkpointer = start()
    for step in (1, 2, 3):  # each but the first meets the upload before it
        weights.fill_(step)
        checkpointer.save(step, {"weights": weights, "history": history}, {}, meta)
        weights.fill_(-1)
        meta["epoch"] += 1
        history.append(0)
    checkpointer.wait()
    loaded = start(attempt=2).load_latest()
    assert loaded is not None
    assert loaded.meta == {"epoch": 2}
    assert loaded.state["history"] == [1, 0, 0]
    assert_all_whole(store, tmp_path / "other", [3, 2, 1])


def test_staging_that_grows_and_shrinks(start: Start) -> None:
    checkpointer = start()
    checkpointer.reserve({"x": torch.zeros(10)}, {})
    for step, size in enumerate([10, 100_000, 3, 0, 200_000]):
        checkpointer.save(step, {"x": torch.full((size,), step)}, {"y": torch.ones(size // 2)}, {})
        checkpointer.wait()
        loaded = start().load_latest()
        assert loaded is not None
        assert_same(loaded.state, {"x": torch.full((size,), step)})
        assert_same(loaded.rank_state, {"y": torch.ones(size // 2)})


def test_ranks_of_different_state_are_told(store: Store, tmp_path: Path) -> None:
    def work(rank: int, broadcast: Broadcast) -> str:
        ranks = Checkpointer(store, rank=rank, world=2, keep=3, attempt=1, staging=tmp_path, broadcast=broadcast)
        ranks.save(1, {"x": torch.zeros(4 + rank)}, {}, {})
        try:
            ranks.wait()
        except TrainyardError as error:
            return error.what
        return ""

    said = run_ranks(2, work)
    assert said == ["Rank 1 saved a state of other tensors than rank 0 at step 1.", ""]
    assert load(store, tmp_path, 1, 2) == [None]


def test_a_rank_that_never_uploads_leaves_nothing_committed(store: Store, tmp_path: Path) -> None:
    def work(rank: int, broadcast: Broadcast) -> Checkpointer:
        return Checkpointer(
            store, rank=rank, world=3, keep=3, attempt=1, staging=tmp_path, broadcast=broadcast, peer_seconds=0.2
        )

    first, second, _ = run_ranks(3, work)
    for checkpointer in (first, second):
        checkpointer.save(1, {"x": torch.zeros(4)}, {}, {})
    second.wait()
    with pytest.raises(TrainyardError, match=r"rank 2 didn't upload its part within 0.2 s"):
        first.wait()
    first.wait()  # said once
    assert load(store, tmp_path, 1, 2) == [None]
