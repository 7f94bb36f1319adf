"""What `init` writes, `run` takes as it is: from a data set of each kind to a model that answers."""

import io
import json
import random
import re
import shutil
from pathlib import Path

import polars as pl
import pytest

from support.commands import trainyard

IMAGES = Path(__file__).parents[2] / "examples" / "images"
QUICK = ("--set", "spec.recipe.train.epochs=2")


def table() -> pl.DataFrame:
    """120 rows of two classes that a line divides, with a gap here and there."""
    rng = random.Random(8)
    size = [rng.gauss(0, 1) for _ in range(120)]
    return pl.DataFrame(
        {
            "size": [None if n % 17 == 0 else value for n, value in enumerate(size)],
            "colour": [rng.choice(["red", "blue"]) for _ in size],
            "kind": ["big" if value > 0 else "small" for value in size],
        }
    )


def write_rows(path: Path) -> None:
    text = io.StringIO()
    for row in table().iter_rows(named=True):
        # As Python does where a number is missing: NaN, which JSON lacks.
        json.dump(row | {"size": float("nan") if row["size"] is None else row["size"]}, text)
        text.write("\n")
    path.write_text(text.getvalue())


@pytest.mark.parametrize("name", ["things.parquet", "things.jsonl", "things"])
def test_from_data_to_a_model_that_answers(name: str, tmp_path: Path) -> None:
    data = tmp_path / name
    write = {"parquet": table().write_parquet, "jsonl": write_rows}
    write.get(name.rpartition(".")[2], lambda folder: shutil.copytree(IMAGES, folder))(data)
    target = [] if data.is_dir() else ["--target", "kind"]
    made = trainyard("init", data, *target, folder=tmp_path)
    assert made.returncode == 0, made.stderr
    done = trainyard("run", "job.yaml", *QUICK, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test split" in done.stdout
    assert re.search(r"^Sample .* -> ", done.stdout, re.MULTILINE)
