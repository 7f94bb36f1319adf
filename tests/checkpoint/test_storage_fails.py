"""Storage or staging that can't be written ends in one plain error, and what was saved before stays."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from support.s3_server import S3Server
from trainyard_api.errors import TrainyardError
from trainyard_storage import Store, open_store
from trainyard_trainer.checkpoint import Checkpointer

STATE: Any = {"weights": torch.ones(1_000_000)}


def begin(store: Store, staging: Path) -> Checkpointer:
    return Checkpointer(store, rank=0, world=1, keep=3, attempt=1, staging=staging)


def newest(store: Store, staging: Path) -> int | None:
    """Step of what would be loaded."""
    loaded = begin(store, staging).load_latest()
    return loaded.step if loaded else None


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A disk that is full: no file grows past `size` bytes (EFBIG; Python ignores SIGXFSZ)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_read_only_bucket_is_said_at_the_start(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = s3.bucket()
    for name, value in s3.reader(bucket).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TrainyardError) as caught:
        begin(open_store(bucket), tmp_path)
    assert caught.value.cause == "StorageReadOnly"


def test_a_full_staging_disk_is_an_error_and_no_bus_error(store: Store, tmp_path: Path) -> None:
    checkpointer = begin(store, tmp_path)
    with files_of_at_most(1_000_000), pytest.raises(TrainyardError) as caught:
        checkpointer.save(1, STATE, {}, {})
    assert caught.value.cause == "DiskFull"
    checkpointer.save(2, STATE, {}, {})  # there is room again
    checkpointer.wait()
    assert newest(store, tmp_path) == 2


def test_full_storage_is_said_and_the_previous_one_stays(store: Store, tmp_path: Path) -> None:
    checkpointer = begin(store, tmp_path)
    checkpointer.save(1, STATE, {}, {})
    checkpointer.wait()
    with files_of_at_most(1_000_000):
        checkpointer.save(2, STATE, {}, {})  # staged in memory that it already has
        with pytest.raises(TrainyardError) as caught:
            checkpointer.wait()
    assert caught.value.cause == "DiskFull"
    assert newest(store, tmp_path) == 1
    checkpointer.save(3, STATE, {}, {})  # there is room again
    checkpointer.wait()
    assert newest(store, tmp_path) == 3


def test_a_staging_folder_that_cannot_be_made(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainyardError) as caught:
        begin(store, tmp_path / "file").save(1, STATE, {}, {})
    assert caught.value.cause == "StagingUnusable"
