"""What `trainyard run` prints where there is no terminal."""

import io
from pathlib import Path

from support.manifests import RECIPE
from trainyard_api.manifest import load_job, resolve_job
from trainyard_api.status import Progress
from trainyard_cli.display import Display, plain_console


def test_the_end_of_training_is_told_before_what_comes_next(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(RECIPE)
    job = resolve_job(load_job(tmp_path / "job.yaml", []), tmp_path, None)
    said = io.StringIO()
    with Display(plain_console(said), job) as display:
        display.stage("prepare")
        display.line(0, "prepared: 90 train")  # of our own stages, in the log only
        display.stage("train")
        for epoch, step in ((0, 1), (1, 30), (3, 90)):
            display.progress(Progress(epoch=epoch, epochs=3, step=step, steps=90))
        display.stage("publish")
    assert said.getvalue().splitlines() == [
        "Preparing data",
        "Training",
        "epoch 1/3  step 1/90",
        "epoch 3/3  step 90/90",
        "Publishing",
    ]
