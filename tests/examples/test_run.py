"""Every example does what its manifest promises, from raw data to a model that answers."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from support.launched import end_of, wait_until, with_no_fuss

EXAMPLES = Path(__file__).parents[2] / "examples"
TRAINYARD = [str(Path(sys.executable).with_name("trainyard"))]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "TRAINYARD_METRICS_PORT": "0"}


def trainyard(*arguments: str | Path) -> str:
    done = subprocess.run(
        [*TRAINYARD, *map(str, arguments)], env=ENVIRONMENT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_of(storage: Path) -> Path:
    """The folder of the only run under `storage`."""
    (marker,) = storage.glob("*/*/*/PUBLISHED.json")
    return marker.parent


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.mark.parametrize(
    ("example", "metric", "least"),
    [
        ("digits", "accuracy", 0.97),
        ("breast-cancer", "accuracy", 0.95),
        ("diabetes", "r2", 0.35),
        ("images", "accuracy", 0.85),
    ],
)
def test_example_trains_publishes_and_answers(example: str, metric: str, least: float, tmp_path: Path) -> None:
    manifest = EXAMPLES / example / "job.yaml"
    said = trainyard("run", manifest, "--storage", tmp_path)
    run = run_of(tmp_path)
    evaluation = read(run / "evaluation.json")
    assert evaluation["split"] == "test"
    assert evaluation["metrics"][metric] >= least
    assert "report.html" in said

    published = read(run / "PUBLISHED.json")
    folder = run / "model" / published["version"]
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "model.safetensors",
        "model.onnx",
        "model.pt2",
        "signature.json",
        "preparation.json",
        "MODEL_CARD.md",
    }
    assert published["maxDifference"] <= 1e-4
    assert (run / "report.html").stat().st_size > 10_000
    assert read(run / "times.json").keys() == {"prepare", "train", "publish"}
    assert read(run / "machine.json")["torch"].startswith("2.")
    answers = [json.loads(line) for line in trainyard("predict", folder).splitlines()]
    assert len(answers) == 1

    if example == "digits":  # once is enough: the same command again repeats nothing
        before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
        trainyard("run", manifest, "--storage", tmp_path)
        after = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
        changed = {
            str(path.relative_to(run)) for path in before.keys() | after.keys() if before.get(path) != after.get(path)
        }
        assert not {name for name in changed if not name.startswith(("logs/", "attempts/"))}


def test_script_example_is_interrupted_goes_on_and_exports_what_it_learned(tmp_path: Path) -> None:
    program = EXAMPLES / "script" / "train.py"
    assert len(program.read_text().splitlines()) <= 60
    command = [*TRAINYARD, "run", str(program.with_name("job.yaml")), "--storage", str(tmp_path)]
    process = subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        wait_until(lambda: list(tmp_path.glob("*/*/*/checkpoints/*/*/COMMITTED")), "there is a checkpoint", 300)
        process.send_signal(signal.SIGINT)
        stopped = end_of(process)
    finally:
        with_no_fuss(process.pid)
    assert stopped.code == 130, stopped.out + stopped.err
    kept = re.search(r"the checkpoint of step (\d+) is kept", stopped.out)
    assert kept
    assert 50 <= int(kept[1]) < 300

    said = trainyard(*command[1:])
    first = re.search(r"step (\d+)/300", said)
    assert first
    assert int(first[1]) > int(kept[1]), "it went on, and did not begin anew"
    run = run_of(tmp_path)
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    logged = [row["step"] for row in history]  # the step behind which it was stopped is saved, and never logged
    assert sorted({*logged, int(kept[1])}) == list(range(1, 301))
    assert logged == sorted(set(logged))
    losses = [row["loss"] for row in history]
    assert losses[0] > 4.0
    assert np.mean(losses[-50:]) < 2.4
    assert next_letter_loss(Path(read(run / "PUBLISHED.json")["uri"].removeprefix("file://"))) < 2.4


def next_letter_loss(model: Path) -> float:
    """What the exported language model loses per letter on its text; a guess at random loses 4.4."""
    text = (EXAMPLES / "script" / "text.txt").read_text()
    codes = np.searchsorted(sorted(set(text)), list(text[: 65 * 40]))
    windows = codes.reshape(40, 65).astype(np.int64)
    session = onnxruntime.InferenceSession(str(model / "model.onnx"))
    (scores,) = session.run(None, {session.get_inputs()[0].name: windows[:, :-1]})
    chances = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    return float(-np.take_along_axis(chances, windows[:, 1:, None], -1).mean())
