"""What the operator tells whoever runs it: lines that parse, with the job they're about, and numbers by fixed names."""

import json
from pathlib import Path

from prometheus_client import generate_latest

from support.api_proxy import PASS, ApiProxy, Fault
from support.cluster import Namespace, until
from support.forked_operator import an_operator
from support.report_server import document, report_server
from trainyard_operator.metrics import Metrics

NAMES = [
    "queue_depth",
    "reconcile_seconds_bucket",
    "api_calls_total",
    "jobs",
    "leader",
    "watch_age_seconds",
    "restarts_total",
    "create_to_pods_seconds_count",
    "create_to_running_seconds_count",
    "create_to_complete_seconds_count",
    "job_progress_step",
    "job_progress_steps",
    "job_loss",
    "job_nodes_ready",
    "job_nodes",
    "job_restarts",
    "job_info",
]


def test_every_line_is_json_and_names_its_job(proxy: ApiProxy, alone: Namespace, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with an_operator(proxy.through, log, TRAINYARD_NAMESPACES=alone.name) as operator:
        alone.create("digits", nodes=1)
        alone.run_all("digits", 1)
        refuse = Fault("answer", status=503)
        proxy.choose = lambda request: refuse if request.write else PASS
        alone.end("digits-0", 137, reason="OOMKilled")
        until("a refusal is logged", lambda: "refuses a write" in log.read_text())
        cut = Fault("cut before")
        proxy.choose = lambda request: cut if request.write else PASS
        until("silence is logged", lambda: "No answer" in log.read_text())
        proxy.choose = lambda request: PASS
        alone.when("digits", reason="OutOfMemory")
        operator.stop()
    lines = [json.loads(line) for line in log.read_text().split("\n") if line]
    about = [line for line in lines if line["logger"] == "trainyard_operator.reconcile"]
    assert {line["level"] for line in about} == {"info", "warning"}
    assert all(line["job"] == f"{alone.name}/digits" and line["generation"] == 1 for line in about)
    assert all(line["time"] and line["level"] and line["message"] for line in lines)


def test_numbers_have_their_names(proxy: ApiProxy, alone: Namespace, tmp_path: Path) -> None:
    with (
        report_server() as launcher,
        an_operator(
            proxy.through, tmp_path / "log", TRAINYARD_NAMESPACES=alone.name, TRAINYARD_POLL_SECONDS="0.1"
        ) as operator,
    ):
        launcher.tell(stage="train", restarts=1, progress={"step": 3, "steps": 9, "loss": 0.5})
        alone.create("digits", nodes=1)
        alone.created("digits", 1)
        alone.run("digits-0", ip=launcher.ip)
        until("progress is told", lambda: "progress" in alone.status("digits"))
        last = {"step": 9, "steps": 9, "loss": 0.25}
        alone.end("digits-0", 0, document(restarts=1, progress=last))
        alone.when("digits", phase="Complete")
        text = operator.get("/metrics")
    present = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if line[:1] not in ("", "#")}
    assert not {f"trainyard_operator_{name}" for name in NAMES} - present
    assert f'job_loss{{job_name="digits",namespace="{alone.name}"}} 0.25' in text


def test_causes_that_pods_think_up_make_no_endless_list() -> None:
    metrics = Metrics()
    for number in range(1000):
        metrics.restarted(f"Cause{number}", 1)
    metrics.restarted("Cause0", 1)
    counted = [line for line in generate_latest(metrics.registry).decode().splitlines() if "restarts_total{" in line]
    assert len(counted) < 100
    assert 'trainyard_operator_restarts_total{cause="Cause0"} 2.0' in counted
    assert sum(float(line.rpartition(" ")[2]) for line in counted) == 1001
