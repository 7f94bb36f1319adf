"""No room on the local disk: one plain error, and nothing half-written."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

PREPARE = """
import resource, sys, tempfile
from support.prepared import run_stage
from trainyard_api.errors import TrainyardError
tempfile.tempdir = sys.argv[2]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    run_stage(sys.argv[2] + "/run", {"uri": sys.argv[1], "target": "label"})
except TrainyardError as error:
    print(error.cause, int(error.code), error.what)
"""


@pytest.mark.parametrize("size", [50_000, 700_000])
def test_the_local_disk_is_full(tmp_path: Path, size: int) -> None:
    """A limit on file size stands for a full disk: the first for shards, with the other the spilled rows fit not."""
    rng = np.random.default_rng(5)
    frame = pl.DataFrame({**{f"x{i}": rng.normal(size=10_000) for i in range(10)}, "label": [0, 1] * 5000})
    frame.write_parquet(tmp_path / "t.parquet")
    (tmp_path / "work").mkdir()
    command = [sys.executable, "-c", PREPARE, tmp_path / "t.parquet", tmp_path / "work", str(size)]
    tests = Path(__file__).parent.parent
    environment = {"PYTHONPATH": str(tests), "PYTHONDONTWRITEBYTECODE": "1"}  # else bytecode would be cut short, too
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100)
    assert run.stdout == "DiskFull 3 The local disk is full.\n", run.stderr
    assert list((tmp_path / "work").iterdir()) == []
