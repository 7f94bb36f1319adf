"""`trainyard run` on a recipe: interrupted, gone on with, finished, and not repeated."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import yaml

from support.commands import trainyard, write_job
from support.launched import end_of, wait_until, with_no_fuss

DIABETES = Path(__file__).parents[2] / "examples" / "diabetes" / "job.yaml"


def start(folder: Path, *overrides: str) -> subprocess.Popen[str]:
    patient = "spec.recipe.train.earlyStopping.patience=100000"  # or it ends by itself before it's stopped
    sets = [part for override in (*overrides, patient) for part in ("--set", override)]
    return subprocess.Popen(
        [sys.executable, "-m", "trainyard_cli.main", "run", str(DIABETES), "--storage", "runs", *sets],
        cwd=folder,
        env={
            **os.environ,
            "XDG_CACHE_HOME": str(folder / "cache"),
            "OMP_NUM_THREADS": "1",
            "TRAINYARD_METRICS_PORT": "0",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_recipe_stopped_by_sigterm_goes_on_and_ends_with_a_table(tmp_path: Path) -> None:
    epochs = "spec.recipe.train.epochs=400"

    def steps() -> int:
        found = list((tmp_path / "cache" / "trainyard" / "runtime").glob("*/progress.json"))
        return json.loads(found[0].read_text())["step"] if found else 0

    process = start(tmp_path, epochs)
    try:
        wait_until(lambda: steps() > 20, "training is under way")
        process.send_signal(signal.SIGTERM)
        stopped = end_of(process)
    finally:
        with_no_fuss(process.pid)
    assert stopped.code == 143, stopped.err
    assert "is kept. Go on with: trainyard run" in stopped.out
    assert f"--set {epochs}" in stopped.out
    done = end_of(start(tmp_path, epochs))
    assert done.code == 0, done.err
    assert "Preparing data: done already" in done.out
    for word in ("test split", "r2", "report.html", "Model", "Sample", "->"):
        assert word in done.out
    again = end_of(start(tmp_path, epochs))
    assert again.code == 0
    assert "finished" in again.out
    assert "test split" in again.out
    assert "Training" not in again.out


def test_a_template_is_left_aside_and_missing_data_is_one_plain_message(tmp_path: Path) -> None:
    manifest = yaml.safe_load(DIABETES.read_text())
    manifest["spec"]["template"] = {"image": "ours:1"}
    manifest["spec"]["recipe"]["data"]["uri"] = "nowhere.csv"
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(manifest))
    done = subprocess.run(
        [sys.executable, "-m", "trainyard_cli.main", "run", "job.yaml"],
        cwd=tmp_path,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "template is for clusters" in done.stdout
    assert "nowhere.csv" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "trainyard-runs").exists()


def test_fewer_processes_than_asked_for_are_said(tmp_path: Path) -> None:
    def one_core() -> None:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    (tmp_path / "train.py").write_text("import os\nprint(os.environ['WORLD_SIZE'], 'in all')\n")
    job = write_job(tmp_path, script={"command": ["train.py"]}, nodes=2, processesPerNode=4)
    done = trainyard("run", job, folder=tmp_path, limit=one_core, CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 0, done.stderr
    assert "Asked for 8 processes, this machine has 1 core: training with 1.\n" in done.stdout
    assert "1 in all" in done.stdout
    as_asked = ("--set", "spec.processesPerNode=1", "--set", "spec.nodes=1")
    assert "Asked for" not in trainyard("run", job, *as_asked, folder=tmp_path, CUDA_VISIBLE_DEVICES="").stdout
