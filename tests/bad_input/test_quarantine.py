"""Samples that can't be read: left out, counted and reported, as long as they're few."""

import io
import json
import tarfile
from pathlib import Path

from PIL import Image

from support.commands import trainyard, write_job


def write_images(path: Path, *, bad: int, count: int = 40) -> bytes:
    """A WebDataset tar of two classes, whose first `bad` pictures are none."""
    with tarfile.open(path, "w") as tar:
        for index in range(count):
            picture = io.BytesIO()
            Image.new("L", (8, 8), index * 5).save(picture, "png")
            content = b"not a picture" if index < bad else picture.getvalue()
            for name, data in ((f"{index:03}.png", content), (f"{index:03}.cls", str(index % 2).encode())):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return path.read_bytes()


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
