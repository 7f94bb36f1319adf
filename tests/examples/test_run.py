"""Every example does what its manifest promises, from raw data to a model that answers."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

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


def test_script_example_trains_a_language_model_and_goes_on(tmp_path: Path) -> None:
    text = (EXAMPLES / "script" / "train.py").read_text()
    assert len(text.splitlines()) <= 60
    trainyard("run", EXAMPLES / "script" / "job.yaml", "--storage", tmp_path)
    assert list(tmp_path.glob("*/*/*/checkpoints/*/*/COMMITTED"))
