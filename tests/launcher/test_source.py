"""The program as an archive, in a folder or in S3; refused if it is none or reaches out of its folder."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from support.s3_server import S3Server
from trainyard_api.documents import ResolvedJob
from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_launcher.identity import run_digest
from trainyard_launcher.source import program_folder
from trainyard_storage import open_store


def job_with(source: str) -> ResolvedJob:
    spec = {"script": {"command": ["train.py"], "source": source}}
    document = {"name": "job", "namespace": "default", "uid": "u", "spec": spec}
    return ResolvedJob.model_validate_json(json.dumps(document))


def archive(name: str = "train.py", content: bytes = b"print(1)") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def test_an_archive_in_s3_is_unpacked_and_its_content_is_part_of_the_run(s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.bucket()
    job = job_with(f"{bucket}/programs/code.tar.gz")
    open_store(bucket).put("programs/code.tar.gz", archive())
    before = run_digest(job)
    assert (program_folder(job, tmp_path) / "train.py").read_text() == "print(1)"
    open_store(bucket).put("programs/code.tar.gz", archive(content=b"print(2)"))
    assert run_digest(job) != before
    assert (program_folder(job, tmp_path) / "train.py").read_text() == "print(2)"


@pytest.fixture(params=["with", "without"], autouse=True)
def filtered(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python has a filter for archives since 3.11.4."""
    if request.param == "without":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)


@pytest.mark.parametrize(
    "content",
    [
        b"this is no archive",
        archive()[:60],
        archive("../outside.py"),
        archive("/tmp/outside-of-it/../../../outside.py"),
    ],
    ids=["text", "cut", "above", "absolute"],
)
def test_a_bad_archive_is_one_plain_message_and_leaves_nothing_outside(content: bytes, tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    (tmp_path / "code.tar.gz").write_bytes(content)
    with pytest.raises(TrainyardError, match="can't be unpacked") as refused:
        program_folder(job_with(f"file://{tmp_path}/code.tar.gz"), runtime)
    assert refused.value.code == ExitCode.INVALID
    assert refused.value.where.endswith("code.tar.gz")
    assert not list(tmp_path.rglob("outside.py"))


def test_a_missing_archive_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrainyardError, match="no such archive"):
        program_folder(job_with(f"file://{tmp_path}/code.tar.gz"), tmp_path)
