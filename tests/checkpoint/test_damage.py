"""What is damaged, unfinished or fenced is never loaded: the previous checkpoint is, and why is said."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trainyard_api.errors import TrainyardError
from trainyard_storage import Store
from trainyard_trainer.checkpoint import Checkpointer, Loaded

Start = Callable[..., Checkpointer]


def state_of(step: int) -> dict[str, torch.Tensor]:
    return {"weights": torch.full((5_000,), float(step)), "count": torch.tensor(step)}


def save(checkpointer: Checkpointer, *steps: int) -> None:
    for step in steps:
        checkpointer.save(step, state_of(step), {"seed": step}, {"epoch": step})
        checkpointer.wait()


def file_of(store: Store, step: int, name: str) -> Path:
    """The file behind one object of a checkpoint."""
    (found,) = Path(store.uri.removeprefix("file://")).glob(f"step-{step:08d}/*/{name}")
    return found


def load(start: Start, attempt: int = 2) -> Loaded:
    loaded = start(attempt=attempt).load_latest()
    assert loaded is not None
    assert torch.equal(loaded.state["weights"], state_of(loaded.step)["weights"])
    assert loaded.meta == {"epoch": loaded.step}
    return loaded


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip_a_bit(path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    data = bytearray(path.read_bytes())
    data[random.Random(seed).randrange(len(data))] ^= 1 << random.Random(seed).randrange(8)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "damage", "why"),
    [
        ("part-0000", cut_short, "part-0000 has 20"),
        ("part-0000", flip_a_bit, "part-0000 was changed"),
        ("part-0000", Path.unlink, "part-0000 is missing"),
        ("manifest.json", cut_short, "manifest.json was changed"),
        ("manifest.json", flip_a_bit, "manifest.json was changed"),
        ("manifest.json", Path.unlink, "manifest.json is missing"),
        ("COMMITTED", cut_short, "its marker can't be read"),
    ],
)
def test_the_previous_one_is_used(
    start: Start, store: Store, name: str, damage: Callable[[Path], None], why: str
) -> None:
    save(start(), 10, 20)
    damage(file_of(store, 20, name))
    loaded = load(start)
    assert loaded.step == 10
    (sentence,) = loaded.skipped
    assert sentence.startswith("Checkpoint step-00000020/")
    assert why in sentence


def test_a_flipped_bit_anywhere_never_loads_wrong(start: Start, store: Store) -> None:
    save(start(), 10, 20)
    for name in ["part-0000", "manifest.json", "COMMITTED"] * 10:
        path = file_of(store, 20, name)
        whole = path.read_bytes()
        flip_a_bit(path)
        assert load(start).step in (10, 20)
        path.write_bytes(whole)


def test_without_its_marker_it_is_not_there(start: Start, store: Store) -> None:
    save(start(), 10, 20)
    file_of(store, 20, "COMMITTED").unlink()
    loaded = load(start)
    assert (loaded.step, loaded.skipped) == (10, [])


def test_when_all_are_damaged_none_is_loaded_and_it_is_logged(
    start: Start, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    save(start(), 10, 20)
    cut_short(file_of(store, 10, "part-0000"))
    cut_short(file_of(store, 20, "part-0000"))
    assert start(attempt=2).load_latest() is None
    (line,) = caplog.messages
    assert all(f"Checkpoint step-{step:08}/" in line for step in (10, 20))
    assert line.endswith("There is no other: training starts from the beginning.")


def test_the_newest_are_kept(start: Start, store: Store) -> None:
    save(start(keep=2), 1, 2, 3, 4)
    assert {info.key.split("/")[0] for info in store.list("step-")} == {"step-00000003", "step-00000004"}


def test_what_earlier_attempts_left_unfinished_is_cleared_away(start: Start, store: Store) -> None:
    save(start(), 10, 20)
    file_of(store, 20, "COMMITTED").unlink()
    save(start(attempt=2), 15)
    assert {info.key.split("/")[0] for info in store.list("step-")} == {"step-00000010", "step-00000015"}


def test_an_attempt_that_was_replaced_can_no_longer_commit(start: Start) -> None:
    old = start()
    save(old, 10)
    new = start(attempt=2)
    with pytest.raises(TrainyardError) as caught:
        save(old, 20)
    assert caught.value.cause == "Fenced"
    with pytest.raises(TrainyardError):
        start(attempt=1)
    save(new, 15)
    assert load(start, attempt=3).step == 15


def test_a_late_marker_of_an_older_attempt_is_ignored(start: Start, store: Store, tmp_path: Path) -> None:
    save(start(), 10, 20)
    late = file_of(store, 20, "COMMITTED").parent.parent
    late.rename(tmp_path / "not yet there")
    save(start(attempt=2), 15)
    (tmp_path / "not yet there").rename(late)
    loaded = load(start, attempt=3)
    assert loaded.step == 15
    (sentence,) = loaded.skipped
    assert "attempt 1 wrote it, and attempt 2 had gone on from an earlier step" in sentence
    save(start(attempt=3), 25)
    assert list(store.list("step-00000020/")) == []
    assert load(start, attempt=4).skipped == []


def test_a_checkpoint_of_another_time_cannot_pose_as_this_one(start: Start, store: Store) -> None:
    """A marker that names another step or attempt than its folder doesn't count."""
    save(start(), 10, 20)
    path = file_of(store, 20, "COMMITTED")
    path.write_text(json.dumps({**json.loads(path.read_text()), "step": 90}))
    loaded = load(start)
    assert loaded.step == 10
