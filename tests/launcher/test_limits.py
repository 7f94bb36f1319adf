"""Limits of time: a hang that comes back in a recipe, and a deadline for the whole launch."""

import os
import sys
import textwrap
import time
from pathlib import Path

import pytest

from support.launched import ScriptJob, recipe_job
from trainyard_launcher.deadline import Deadline
from trainyard_launcher.gang.wish import Wish
from trainyard_launcher.hang import HangWatch
from trainyard_launcher.interruption import Interruption
from trainyard_launcher.observer import Observer
from trainyard_launcher.processes import Tree
from trainyard_launcher.runtime import read_faults
from trainyard_launcher.supervise import Ending, Supervisor

MODEL = """
    import time
    import torch

    class Sleeper(torch.nn.Module):
        def __init__(self, input_shape, outputs):
            super().__init__()
            self.linear = torch.nn.Linear(input_shape[0], outputs)
            self.calls = 0

        def forward(self, x):
            self.calls += self.training
            if self.calls > 3:
                self.sleep_forever()
            return self.linear(x)

        def sleep_forever(self):
            time.sleep(600)
"""


def test_a_recipe_that_hangs_every_time_fails_after_its_restarts(tmp_path: Path) -> None:
    recovery = {"hangSeconds": 5, "maxRestarts": 1}
    train = {"epochs": 2, "batchSize": 8}
    job = recipe_job(tmp_path, MODEL, model="train:Sleeper", train=train, recovery=recovery)
    done = job.run()
    assert done.code == 1, done.err
    assert "Restart 1 of 1" in done.out
    assert "Restart 2" not in done.out
    assert "The job hangs: no rank has done a step" in done.err
    assert "restarts: 1" in done.err
    assert job.termination()["cause"] == "Hung"
    log = (job.runtime / "logs" / "train-rank-00000.log").read_text()
    line = MODEL.splitlines().index("            time.sleep(600)")
    assert f'train.py", line {line + 1} in sleep_forever' in log


class DeadlineWhenReady(Observer):
    """Lets the deadline pass once the program has said that it is ready."""

    def __init__(self) -> None:
        self.deadline = Deadline(None)

    def line(self, rank: int, text: str) -> None:
        if text == "ready":
            self.deadline.at = time.monotonic()


def program_that_saves(folder: Path, seconds: float = 0.0) -> Tree:
    """A rank that says `ready`, and once it's asked to stop leaves the file `saved`, for which it takes `seconds`."""
    program = f"""
        import sys, time
        from pathlib import Path
        from trainyard_launcher.runtime import StopRequest
        stop = StopRequest()
        print("ready", flush=True)
        while not stop.requested():
            time.sleep(0.01)
        time.sleep({seconds})  # as slow storage would have it
        Path("saved").touch()
        sys.exit(143)
    """
    (folder / "train.py").write_text(textwrap.dedent(program))
    (folder / "logs").mkdir()
    environment = {**os.environ, "TRAINYARD_RUNTIME": str(folder), "TRAINYARD_STAGE": "script"}
    command = [sys.executable, "-u", "-m", "trainyard_launcher.rank", "train.py"]
    return Tree(command, env=environment, folder=folder, log=folder / "log")


def test_after_the_deadline_a_program_may_save_first(tmp_path: Path) -> None:
    observer = DeadlineWhenReady()
    ending = Supervisor(
        program_that_saves(tmp_path),
        tmp_path,
        "script",
        watch=HangWatch(tmp_path, "auto"),
        deadline=observer.deadline,
        interruption=Interruption(),
        observer=observer,
        grace_seconds=60,
    ).run()
    assert ending == Ending(0)
    assert (tmp_path / "saved").exists()
    assert [fault.cause for fault in read_faults(tmp_path)] == ["Terminated"]


class WishWhenReady(Observer):
    """Peers that wish something once the program says that it's ready."""

    def __init__(self, wish: Wish) -> None:
        self._wish, self._ready = wish, False

    def line(self, rank: int, text: str) -> None:
        self._ready = self._ready or text == "ready"

    def wish(self) -> Wish:
        return self._wish if self._ready else Wish.NOTHING


@pytest.mark.parametrize("wish", [Wish.SAVE, Wish.GOING])
def test_where_nodes_come_a_checkpoint_has_the_time_that_it_takes_and_where_one_goes_the_grace_period(
    wish: Wish, tmp_path: Path
) -> None:
    others = WishWhenReady(wish)
    ending = Supervisor(
        program_that_saves(tmp_path, seconds=1),
        tmp_path,
        "script",
        watch=HangWatch(tmp_path, "auto"),
        deadline=Deadline(None),
        interruption=Interruption(),
        observer=others,
        grace_seconds=0.2,
        peers=others,
    ).run()
    assert (tmp_path / "saved").exists() == (wish is Wish.SAVE)
    assert ending.wished


def test_a_job_past_its_deadline_fails_and_is_not_restarted(tmp_path: Path) -> None:
    job = ScriptJob(tmp_path, "import time; time.sleep(600)", activeDeadlineSeconds=1)
    done = job.run()
    assert done.code == 1, done.err
    assert "The job was stopped: it may run for 1 s." in done.err
    assert "Restart" not in done.out
    assert job.termination()["cause"] == "DeadlineExceeded"
    assert len(list((job.run_folder / "attempts").iterdir())) == 1
    assert not (job.run_folder / "FINISHED.json").exists()
