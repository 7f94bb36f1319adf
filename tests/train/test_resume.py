"""A run that is killed, stopped or moved to another number of ranks ends like one that was left alone."""

import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from support.training import TrainingRun, table
from trainyard_launcher.runtime import read_heartbeats

SETTINGS = {
    "model": {"hidden": [16, 8], "batchNorm": True, "dropout": 0.2},
    "train": {
        "epochs": 6,
        "batchSize": 12,
        "seed": 3,
        "optimizer": {"type": "adamw", "learningRate": 0.01, "weightDecay": 0.01},
        "schedule": {"type": "cosine", "warmupSteps": 5},
        "earlyStopping": {"metric": "validation/loss", "patience": 6},
        "gradientClipNorm": 1.0,
    },
    "checkpoint": {"everySteps": 4},
}


def new_run(folder: Path, **changes: object) -> TrainingRun:
    folder.mkdir(parents=True)
    return TrainingRun(folder, **(SETTINGS | changes)).prepare(*table())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], TrainingRun]:
    """The run at a world size that nobody touched."""
    done: dict[int, TrainingRun] = {}

    def get(world: int) -> TrainingRun:
        if world not in done:
            done[world] = new_run(tmp_path_factory.mktemp("undisturbed") / "run").run(world)
        return done[world]

    return get


def equal(one: TrainingRun, other: TrainingRun) -> bool:
    """Whether weights and history agree to the last bit."""
    mine, theirs = one.weights(), other.weights()
    assert mine.keys() == theirs.keys()
    return one.history() == other.history() and all(np.array_equal(mine[name], theirs[name]) for name in mine)


def step_of(run: TrainingRun) -> int:
    """The step that every rank has reached, by its heartbeat."""
    return min((step for step, _ in read_heartbeats(run.runtime).values()), default=0)


def forget_heartbeats(run: TrainingRun) -> None:
    for path in run.runtime.glob("heartbeat-*"):
        path.unlink()


@pytest.mark.parametrize("world", [1, 2, 3])
def test_repeated_is_bit_identical(world: int, tmp_path: Path, undisturbed: Callable[[int], TrainingRun]) -> None:
    assert equal(new_run(tmp_path / "again").run(world), undisturbed(world))


@pytest.mark.parametrize("world", [1, 2, 3])
def test_sigkill_at_random_steps(world: int, tmp_path: Path, undisturbed: Callable[[int], TrainingRun]) -> None:
    seed = random.randrange(10**6)
    sys.stdout.write(f"seed {seed}\n")
    draw = random.Random(seed)
    run = new_run(tmp_path / "killed")
    total = undisturbed(world).history()[-1]["step"]
    kills = 0  # on a busy machine the ranks may come to their end before the last ones
    for target in sorted(draw.sample(range(1, total), 4)):
        forget_heartbeats(run)
        ranks = run.start(world)
        if ranks.until(lambda at=target: step_of(run) >= at):  # type: ignore[misc]
            ranks.kill(draw.choice([None, draw.randrange(world)]))
            kills += 1
    run.run(world)
    assert kills, "nothing was killed"
    assert equal(run, undisturbed(world))


@pytest.mark.parametrize("world", [1, 2, 3])
def test_sigkill_during_a_checkpoint(world: int, tmp_path: Path, undisturbed: Callable[[int], TrainingRun]) -> None:
    """Killed when the first object of a checkpoint appears, before or after its marker does."""
    run = new_run(tmp_path / "killed")
    folder = run.folder / "run" / "checkpoints"
    for step in (4, 20, 44):
        ranks = run.start(world)
        assert ranks.until(lambda at=step: any(folder.glob(f"step-{at:08d}/*/part-*")))  # type: ignore[misc]
        ranks.kill()
    assert equal(run.run(world), undisturbed(world))


def test_sigkill_under_torchrun(tmp_path: Path, undisturbed: Callable[[int], TrainingRun]) -> None:
    """As the launcher does it: torchrun gives up when a rank dies, and is started again."""
    run = new_run(tmp_path / "torchrun")
    run.start(1).kill()  # only for the job's file
    forget_heartbeats(run)
    torchrun = _torchrun(run)
    while step_of(run) < 30:
        with contextlib.suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"torchrun ended with {torchrun.wait(0.001)}\n{run.log()}")
    os.kill(max(_children(torchrun.pid)), signal.SIGKILL)
    assert torchrun.wait(120) != 0
    assert _torchrun(run).wait(120) == 0, run.log()
    assert equal(run, undisturbed(2))


def _torchrun(run: TrainingRun) -> subprocess.Popen[bytes]:
    run.attempts += 1
    environment = os.environ | {
        "TRAINYARD_JOB": str(run.folder / "job.json"),
        "TRAINYARD_RUN": str(run.folder / "run"),
        "TRAINYARD_RUNTIME": str(run.runtime),
        "TRAINYARD_ATTEMPT": str(run.attempts),
        "TRAINYARD_METRICS_PORT": "0",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=0"]
    with (run.folder / "rank-torchrun.log").open("w") as log:
        return subprocess.Popen([*command, "-m", "trainyard_trainer", "train"], env=environment, stdout=log, stderr=log)


def _children(parent: int) -> list[int]:
    path = Path(f"/proc/{parent}/task/{parent}/children")
    return [int(pid) for pid in path.read_text().split()]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_first(
    number: signal.Signals, code: int, tmp_path: Path, undisturbed: Callable[[int], TrainingRun]
) -> None:
    """One rank alone gets the signal: all of them save the same step and leave with its code."""
    run = new_run(tmp_path / "stopped", checkpoint={"everySteps": 1000})
    ranks = run.start(2)
    assert ranks.until(lambda: step_of(run) >= 13)
    os.kill(ranks.processes[1].pid or 0, number)
    assert ranks.codes() == [code, code]
    (saved,) = (run.folder / "run" / "checkpoints").glob("step-*")
    assert int(saved.name[5:]) >= 13
    assert equal(run.run(2), undisturbed(2))


def test_the_number_of_ranks_may_change(tmp_path: Path) -> None:
    """2 -> 3 -> 1 ranks see the same samples; without dropout and batch normalisation the loss agrees within 1e-3."""
    plain = {"model": {"hidden": [16, 8]}}
    alone = new_run(tmp_path / "alone", **plain).run(1)
    run = new_run(tmp_path / "moved", **plain)
    for world, step in ((2, 17), (3, 41)):
        forget_heartbeats(run)
        ranks = run.start(world)
        assert ranks.until(lambda at=step: step_of(run) >= at)  # type: ignore[misc]
        ranks.kill()
    run.run(1)
    for mine, theirs in zip(run.history(), alone.history(), strict=True):
        assert mine["step"] == theirs["step"]
        assert mine["train/loss"] == pytest.approx(theirs["train/loss"], rel=1e-3)
        assert mine["validation/loss"] == pytest.approx(theirs["validation/loss"], rel=1e-3)


def test_a_finished_stage_does_nothing(undisturbed: Callable[[int], TrainingRun]) -> None:
    run = undisturbed(1)
    before = {info.key: info.etag for info in run.store.list()}
    run.run(1)
    assert {info.key: info.etag for info in run.store.list()} == before
