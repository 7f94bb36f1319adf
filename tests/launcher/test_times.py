"""The time of each stage, over all launches of a run."""

from pathlib import Path

import pytest

from support.launched import ScriptJob
from trainyard_launcher.times import KEY, timed
from trainyard_storage import open_store


def test_the_parts_of_an_interrupted_stage_are_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 12.5, 100.0, 101.0, 200.0, 204.25])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    store = open_store(str(tmp_path))
    for stage in ("train", "publish", "train"):
        with timed(store, stage):
            pass
    assert store.get_json(KEY) == {"train": 6.75, "publish": 1.0}


def test_a_stage_that_fails_is_timed_and_its_fault_is_told_all_the_same(tmp_path: Path) -> None:
    program = """
        import os
        from pathlib import Path
        Path(os.environ["TRAINYARD_RUN"].removeprefix("file://"), "times.json").mkdir()
        raise SystemExit("on purpose")
    """
    done = ScriptJob(tmp_path, program, recovery={"maxRestarts": 0}).run()
    assert done.code == 1
    assert "on purpose" in done.err
