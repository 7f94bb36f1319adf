"""Which run a job is, whatever becomes of its data while it trains."""

from pathlib import Path

from trainyard_api.documents import ResolvedJob
from trainyard_launcher.identity import run_store
from trainyard_launcher.node import Node


def job(folder: Path, uid: str = "u", data: str = "/data") -> ResolvedJob:
    recipe = {"data": {"uri": f"file://{folder}{data}", "target": "kind"}, "model": {"type": "mlp"}}
    spec = {"recipe": recipe, "storage": {"uri": f"file://{folder}"}}
    return ResolvedJob.model_validate({"name": "job", "namespace": "default", "uid": uid, "spec": spec, "nodes": 2})


def node(index: int) -> Node:
    return Node(index, "job-0.tj-job", "127.0.0.1", restarts=0, report_port=9465)


def test_a_file_that_comes_to_the_data_starts_only_another_job_afresh(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("a,kind\n1,yes\n")
    one_machine = run_store(job(tmp_path), None).uri
    early = run_store(job(tmp_path), node(1)).uri
    chosen = run_store(job(tmp_path), node(0)).uri
    assert one_machine == early == chosen
    (tmp_path / "data" / "b.csv").write_text("a,kind\n2,no\n")
    assert [run_store(job(tmp_path), node(index)).uri for index in (0, 1)] == [chosen, chosen]
    again = run_store(job(tmp_path, "another"), node(0)).uri
    assert again != chosen
    assert run_store(job(tmp_path), None).uri == again


def test_what_is_written_down_about_runs_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,kind\n1,yes\n")
    first = run_store(job(tmp_path, data=""), node(0)).uri
    assert run_store(job(tmp_path, "another", data=""), node(0)).uri == first
