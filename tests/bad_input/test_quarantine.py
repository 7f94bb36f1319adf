"""Samples that can't be read: left out, counted and reported, as long as they're few."""

import json
from pathlib import Path

from support.commands import trainyard, write_job
from support.images import write_images


def test_few_corrupt_samples_are_left_out_counted_and_reported(tmp_path: Path) -> None:
    before = write_images(tmp_path / "data.tar", bad=2)
    recipe = {
        "data": {"uri": "data.tar", "target": "cls", "maxBadShare": 0.1},
        "model": {"type": "cnn", "channels": [2], "hidden": [2]},
        "train": {"epochs": 1, "batchSize": 8},
    }
    done = trainyard("run", write_job(tmp_path, recipe=recipe), folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    card = json.loads(next(tmp_path.glob("trainyard-runs/default/bad/*/data/*/card.json")).read_text())
    assert card["badSamples"] == 2
    assert any("000" in example for example in card["badExamples"])
    report = next(tmp_path.glob("trainyard-runs/default/bad/*/report.html")).read_text()
    assert card["badExamples"][0] in report
    assert (tmp_path / "data.tar").read_bytes() == before
