"""What is known to be wrong before anything is started."""

from collections import namedtuple
from pathlib import Path

import pytest

from trainyard_api.documents import ResolvedJob
from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_launcher import preflight
from trainyard_storage import open_store

Usage = namedtuple("Usage", "total used free")


def job(processes: int, program: str = "train.py") -> ResolvedJob:
    spec = {"script": {"command": [program]}}
    document = {"name": "job", "namespace": "default", "uid": "u", "spec": spec, "processesPerNode": processes}
    return ResolvedJob.model_validate(document)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text("")
    return tmp_path


def refusal(asked: ResolvedJob, folder: Path) -> TrainyardError:
    with pytest.raises(TrainyardError) as refused:
        preflight.preflight(asked, open_store(str(folder / "run")), folder)
    assert not list(folder.glob("run/**/*.*")), "nothing is left behind"
    return refused.value


def test_more_processes_than_gpus(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "count_gpus", lambda: 2)
    error = refusal(job(3), folder)
    assert error.what == "3 processes are asked for, and there are 2 GPUs."
    assert error.where == "spec.processesPerNode"
    preflight.preflight(job(2), open_store(str(folder / "run")), folder)


def test_shared_memory_that_is_full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda mount: Usage(64 << 20, 44 << 20, 20 << 20))
    error = refusal(job(2), folder)
    assert error.what == "/dev/shm has 20 MiB free, 32 MiB are needed."
    assert error.code == ExitCode.INFRASTRUCTURE
    preflight.preflight(job(1), open_store(str(folder / "run")), folder)


def test_a_program_that_is_not_there(folder: Path) -> None:
    assert "no program other.py" in refusal(job(1, "other.py"), folder).what
