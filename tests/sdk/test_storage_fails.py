"""A program whose storage is slow isn't taken for hung, nor for finished when its last checkpoint can't be written."""

import json
from pathlib import Path

import pytest

from support.faulty_proxy import Held, faulty_proxy
from support.launched import ScriptJob, wait_until
from support.s3_server import S3Server
from trainyard_launcher.runtime import read_heartbeats
from trainyard_storage import open_store
from trainyard_trainer.metrics import TrainingMetrics
from trainyard_trainer.sdk import log as module
from trainyard_trainer.sdk.log import Log, thinned

PROGRAM = """
    from pathlib import Path
    import torch
    from trainyard_trainer import current_job

    job = current_job()
    checkpoints = job.checkpointer({"model": torch.nn.Linear(4, 1)})
    checkpoints.load()
    for step in range(1, 4):
        checkpoints.step(step)
        job.log(step, loss=1.0)
"""
LAST = """
    checkpoints.wait()
    folder = Path(job.run.uri.removeprefix("file://"), "checkpoints")
    folder.rename(folder.with_name("aside"))
    folder.touch()
    checkpoints.save(4)
"""


def test_no_beat_is_expected_during_an_upload(s3: S3Server, tmp_path: Path) -> None:
    held = Held("step-00000001/")
    job = ScriptJob(tmp_path, PROGRAM, checkpoint={"everySteps": 1})
    job.storage = f"{s3.bucket()}/runs"
    with faulty_proxy(s3.endpoint, held) as proxy, job.running(AWS_ENDPOINT_URL=proxy.endpoint) as process:
        try:
            wait_until(held.reached.is_set, "the first checkpoint is on its way")
            wait_until(lambda: not read_heartbeats(job.runtime), "the second one waits for it")
        finally:
            held.released.set()
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err


def test_a_last_checkpoint_that_fails_fails_the_job(tmp_path: Path) -> None:
    job = ScriptJob(tmp_path, PROGRAM + LAST, recovery={"maxRestarts": 0})
    done = job.run()
    assert done.code == 3, done.err
    assert "checkpoints" in done.err
    assert "remedy: " in done.err
    assert not (job.run_folder / "FINISHED.json").exists()


def test_a_history_that_cannot_be_written_is_said_once_and_fails_nothing(tmp_path: Path) -> None:
    program = (
        PROGRAM
        + """
    Path(job.run.uri.removeprefix("file://"), "history.jsonl", "in the way").mkdir(parents=True)
"""
    )
    job = ScriptJob(tmp_path, program)
    done = job.run()
    assert done.code == 0, done.err
    assert done.out.count("The history can't be written, training goes on without: ") == 1
    assert (job.run_folder / "FINISHED.json").exists()


def test_the_loop_does_not_wait_for_the_history(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SECONDS", 0.0)
    held = Held("history.jsonl")
    with faulty_proxy(s3.endpoint, held) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        run = open_store(f"{s3.bucket()}/run")
        log = Log(run, tmp_path, TrainingMetrics(), rank=0)
        steps = 0
        try:
            while not held.reached.is_set() or steps < 100:
                steps += 1
                log.write(steps, None, 0, 0, {"loss": 1.0})
            assert not held.answered.is_set()
        finally:
            held.released.set()
        log.close()
        assert json.loads(run.get("history.jsonl").splitlines()[-1])["step"] == steps


def test_a_long_history_keeps_its_ends_and_what_is_rare() -> None:
    rows = [{"step": step, "loss": 1.0} for step in range(1, 1001)]
    rows += [{"step": step, "accuracy": 0.5} for step in (400, 800)]
    kept = thinned(rows)
    assert [row["step"] for row in kept if "loss" in row] == list(range(2, 1001, 2))
    assert [row["step"] for row in kept if "accuracy" in row] == [400, 800]
