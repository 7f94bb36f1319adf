"""A job as it runs on this machine."""

import json
import os
from pathlib import Path

import pytest

from support.manifests import DESIGN, HEAD, RECIPE
from trainyard_api.documents import ResolvedJob
from trainyard_api.errors import TrainyardError
from trainyard_api.hardware import room_for_processes
from trainyard_api.manifest import load_job, resolve_job
from trainyard_api.resolve import asked_processes


def resolved(folder: Path, text: str, storage_uri: str | None = None) -> ResolvedJob:
    (folder / "job.yaml").write_text(text)
    return resolve_job(load_job(folder / "job.yaml"), folder, storage_uri)


def test_data_lies_beside_the_manifest_and_results_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    job = resolved(tmp_path, RECIPE)
    assert job.spec.storage.uri == f"file://{tmp_path}/here/trainyard-runs"
    assert job.spec.recipe is not None
    assert job.spec.recipe.data.uri == f"file://{tmp_path}/digits.parquet"
    assert (job.name, job.namespace, job.nodes, job.folder) == ("digits", "default", 1, str(tmp_path))


@pytest.mark.parametrize(
    ("written", "uri"),
    [
        ("/data/*.csv", "file:///data/*.csv"),
        ("./a/b.csv", "file://{folder}/a/b.csv"),
        ("../b.csv", "file://{parent}/b.csv"),
        (".", "file://{folder}"),
        ("s3://bucket/x/*.csv", "s3://bucket/x/*.csv"),
        ("file:///x.csv", "file:///x.csv"),
    ],
)
def test_uris_become_absolute(written: str, uri: str, tmp_path: Path) -> None:
    job = resolved(tmp_path, RECIPE.replace("digits.parquet", written))
    assert job.spec.recipe is not None
    assert job.spec.recipe.data.uri == uri.format(folder=tmp_path, parent=tmp_path.parent)


def test_given_splits_and_scripts_become_absolute(tmp_path: Path) -> None:
    splits = (
        HEAD + "  script:\n    command: [train.py]\n    source: code.tar.gz\n    data: {splits: {train: a, test: b}}\n"
    )
    script = resolved(tmp_path, splits).spec.script
    assert script is not None
    assert script.source == f"file://{tmp_path}/code.tar.gz"
    assert script.data is not None
    assert script.data.splits is not None
    assert script.data.splits.train == f"file://{tmp_path}/a"
    assert script.data.splits.test == f"file://{tmp_path}/b"
    assert script.data.splits.validation is None
    assert script.command == ["train.py"]


def test_storage_given_on_the_command_line_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = RECIPE + "  storage: {uri: runs, region: eu}\n"
    assert resolved(tmp_path, text).spec.storage.uri == f"file://{tmp_path}/runs"
    assert resolved(tmp_path, text, "elsewhere").spec.storage.uri == f"file://{tmp_path}/elsewhere"
    storage = resolved(tmp_path, text, "s3://bucket/p").spec.storage
    assert (storage.uri, storage.region) == ("s3://bucket/p", "eu")


def test_processes_are_at_most_what_the_machine_has_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = room_for_processes()
    assert resolved(tmp_path, RECIPE).processes_per_node == 1
    assert resolved(tmp_path, RECIPE + "  nodes: 2\n").processes_per_node == min(2, room)
    assert resolved(tmp_path, RECIPE + "  nodes: 60\n  processesPerNode: 60\n").processes_per_node == min(3600, room)
    assert resolved(tmp_path, DESIGN.replace("batchSize: 256", "batchSize: 4096")).processes_per_node == min(16, room)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    eight = resolved(tmp_path, RECIPE + "  nodes: 2\n  processesPerNode: 4\n")
    assert (eight.processes_per_node, asked_processes(eight.spec)) == (3, 8)
    assert asked_processes(resolved(tmp_path, DESIGN.replace("batchSize: 256", "batchSize: 4096")).spec) == 16
    with pytest.raises(TrainyardError, match="a batch of 2 can't be divided over 3 processes"):
        resolved(tmp_path, RECIPE + "    train: {batchSize: 2}\n  processesPerNode: 8\n")


def test_the_document_comes_back_from_json(tmp_path: Path) -> None:
    job = resolved(tmp_path, DESIGN.replace("batchSize: 256", "batchSize: 4096"))
    written = job.model_dump_json()
    assert ResolvedJob.model_validate_json(written) == job
    assert json.loads(written)["spec"]["recipe"]["train"]["batchSize"] == 4096


def test_the_same_job_has_the_same_uid(tmp_path: Path) -> None:
    first, second = resolved(tmp_path, RECIPE), resolved(tmp_path, RECIPE + "    train: {epochs: 3}\n")
    other = resolved(tmp_path, RECIPE.replace("name: digits", "name: other"))
    assert first.uid == second.uid != other.uid
