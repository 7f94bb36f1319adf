"""The committed example data is what examples/make_data.py writes, and every manifest is valid."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from PIL import Image
from polars.testing import assert_frame_equal

from trainyard_api.job import TrainingJob

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    subprocess.run([sys.executable, EXAMPLES / "make_data.py", folder], check=True, timeout=60)
    return folder


def read(path: Path) -> pl.DataFrame:
    if path.suffix == ".png":
        with Image.open(path) as image:
            return pl.DataFrame(np.asarray(image))
    return pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path)


def data_files(folder: Path) -> list[Path]:
    return sorted(p.relative_to(folder) for end in ("csv", "parquet", "png") for p in folder.rglob(f"*.{end}"))


def test_committed_data_is_what_the_program_writes(made: Path) -> None:
    assert data_files(made) == data_files(EXAMPLES)
    assert len(data_files(made)) == 3 + 10 * 40
    for name in data_files(made):
        assert_frame_equal(read(made / name), read(EXAMPLES / name))


def test_breast_cancer_is_untidy() -> None:
    table = read(EXAMPLES / "breast-cancer/breast_cancer.csv")
    assert table.height - table.unique().height == 25
    assert 200 < sum(table.null_count().row(0)) < 500


@pytest.mark.parametrize("manifest", sorted(EXAMPLES.glob("*/job.yaml")), ids=lambda path: path.parent.name)
def test_manifest_is_valid(manifest: Path) -> None:
    TrainingJob.model_validate_json(json.dumps(yaml.safe_load(manifest.read_text())))
