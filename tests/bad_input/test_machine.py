"""What the machine or storage refuses: told in one plain message, with nothing that would be taken for whole."""

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.commands import files_of_at_most, like_anybody, nothing_finished, plain, trainyard, write_job
from support.s3_server import S3Server

RECIPE: dict[str, Any] = {"data": {"uri": "data.csv", "target": "label"}}


def write_table(path: Path, rows: int = 60) -> str:
    numbers = random.Random(3)
    lines = [f"{numbers.random()},{numbers.random()},{numbers.choice('xy')}" for _ in range(rows)]
    path.write_text("\n".join(["a,b,label", *lines, ""]))
    return path.read_text()


def test_data_that_may_not_be_read(tmp_path: Path) -> None:
    write_table(tmp_path / "data.csv")
    (tmp_path / "data.csv").chmod(0)
    done = trainyard("run", write_job(tmp_path, recipe=RECIPE), folder=tmp_path, limit=like_anybody)
    plain(done, 2, "permission", "data.csv", "remedy:")
    assert "AWS" not in done.stderr
    nothing_finished(tmp_path)


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    write_table(tmp_path / "data.csv")
    (tmp_path / "kept").mkdir(mode=0o500)
    job = write_job(tmp_path, recipe=RECIPE)
    done = trainyard("run", job, "--storage", "kept", folder=tmp_path, limit=like_anybody)
    plain(done, 2, "kept", "storage.uri", "remedy:")
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_full_disk(tmp_path: Path) -> None:
    """Shards of 100 kB don't fit; what has been read is untouched."""
    before = write_table(tmp_path / "data.csv", rows=100_000)
    done = trainyard("run", write_job(tmp_path, recipe=RECIPE), folder=tmp_path, limit=files_of_at_most(64_000))
    plain(done, 3, "full", "remedy:")
    assert "Rank" not in done.stderr  # a full disk is no rank's fault
    nothing_finished(tmp_path)
    assert (tmp_path / "data.csv").read_text() == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 800 kB, where this user may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=800k", "none", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("full", ["where results go", "where work is done"])
def test_a_disk_without_room(small_disk: Path, tmp_path: Path, full: str) -> None:
    before = write_table(tmp_path / "data.csv", rows=100_000)
    job = write_job(tmp_path, recipe=RECIPE)
    if full == "where results go":
        done = trainyard("run", job, "--storage", small_disk, folder=tmp_path)
        plain(done, 3, "Storage is full", str(small_disk), "remedy:")
    else:
        done = trainyard("run", job, folder=tmp_path, XDG_CACHE_HOME=str(small_disk))
        plain(done, 3, "The local disk is full", str(small_disk), "remedy:")
    assert "Rank" not in done.stderr
    nothing_finished(tmp_path)
    assert (tmp_path / "data.csv").read_text() == before


@pytest.mark.parametrize("command", ["run", "validate"])
def test_neither_recipe_nor_script(command: str, tmp_path: Path) -> None:
    plain(trainyard(command, write_job(tmp_path), folder=tmp_path), 2, "recipe", "script", "job.yaml:", "remedy:")
    assert [path.name for path in tmp_path.iterdir()] == ["job.yaml"]


def from_s3(uri: str) -> dict[str, Any]:
    return {"data": {"uri": uri, "target": "label"}}


def test_data_in_a_bucket_that_is_missing(tmp_path: Path, s3: S3Server) -> None:
    bucket = s3.missing_bucket()
    job = write_job(tmp_path, recipe=from_s3(f"{bucket}/data.csv"))
    plain(trainyard("run", job, folder=tmp_path), 2, "bucket does not exist", bucket, "remedy:")
    nothing_finished(tmp_path)


def test_data_in_a_bucket_that_refuses_the_credentials(tmp_path: Path, s3: S3Server) -> None:
    bucket = s3.bucket()
    job = write_job(tmp_path, recipe=from_s3(f"{bucket}/data.csv"))
    done = trainyard("run", job, folder=tmp_path, **s3.stranger())
    plain(done, 2, "credentials", bucket, "AWS_ACCESS_KEY_ID")
    nothing_finished(tmp_path)


def test_data_that_a_bucket_lacks(tmp_path: Path, s3: S3Server) -> None:
    job = write_job(tmp_path, recipe=from_s3(f"{s3.bucket()}/data.csv"))
    plain(trainyard("run", job, folder=tmp_path), 2, "no data", "data.csv", "remedy:")


@pytest.mark.parametrize("command", ["report", "predict", "serve"])
def test_nothing_there(command: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    plain(trainyard(command, "empty", folder=tmp_path), 2, "There is no", "empty", "remedy:")
    assert list((tmp_path / "empty").iterdir()) == []
    (tmp_path / "file").write_text("")
    plain(trainyard(command, "file", folder=tmp_path), 2, "There is no", "file", "remedy:")


def test_a_history_that_is_damaged(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "job.json").write_text("{}")
    (run / "history.jsonl").write_text('{"epoch": 1}\n{"epo')
    plain(trainyard("report", "run", folder=tmp_path), 2, "not JSON", "history.jsonl", "remedy:")
    assert not (run / "report.html").exists()


def test_a_file_as_storage(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("")
    job = write_job(tmp_path, script={"command": ["train.py"]})
    plain(trainyard("run", job, "--storage", "train.py", folder=tmp_path), 3, "A file is where a folder", "remedy:")
