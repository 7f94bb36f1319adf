"""The dashboards: what is in the chart is what the code makes, and a real Prometheus has data for each panel."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import start_http_server

from support.dashboards import FOLDER, OWN, queries, without_data
from support.helm import CHART
from support.images import write_images
from support.launched import wait_until
from support.prometheus import Prometheus, prometheus
from support.running import metrics_port, running
from trainyard_api.status import Progress, Status

PROGRAM = """
import itertools, torch
from trainyard_trainer import current_job
job = current_job()
checkpoints = job.checkpointer({"model": torch.nn.Linear(1, 1)})
for step in itertools.count(1):
    checkpoints.step(step, samples=8)
    job.log(step, loss=0.5, bleu=12.5)
"""


def target(port: int, job_name: str) -> dict[str, Any]:
    """As the PodMonitor would scrape a job's pod."""
    labels = {"namespace": "default", "pod": f"{job_name}-0", "job_name": job_name, "node": "0"}
    return {"job_name": job_name, "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": labels}]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes two jobs while they train: a recipe, and a program of one's own."""
    recipe, script, work = (tmp_path_factory.mktemp(name) for name in ("recipe", "script", "prometheus"))
    write_images(recipe / "data.tar", bad=0, count=60)
    (script / "train.py").write_text(PROGRAM)
    spec = {
        "data": {"uri": "data.tar", "target": "cls"},
        "prepare": {"duplicates": "keep"},
        "model": {"type": "cnn", "channels": [2], "hidden": [2]},
        "train": {"epochs": 1_000_000, "batchSize": 8},
    }
    with ExitStack() as stack:
        stack.enter_context(running(recipe, recipe=spec, checkpoint={"everySteps": 20}))
        stack.enter_context(running(script, script={"command": ["train.py"]}, checkpoint={"everySteps": 20}))
        ports = [
            wait_until(lambda folder=folder: metrics_port(folder), "metrics are told") for folder in (recipe, script)
        ]
        scraped = [target(ports[0], "recipe"), target(ports[1], "script")]
        yield stack.enter_context(prometheus(work, scraped))


def job_variables(job_name: str) -> dict[str, str]:
    return {"namespace": "default", "job_name": job_name, "__rate_interval": "10s"}


def of_trainer(missing: list[str]) -> list[str]:
    return [each for each in missing if "trainyard_operator_" not in each]


def test_every_panel_about_training_shows_data_while_a_recipe_trains(trained: Prometheus) -> None:
    def all_but_own() -> bool:
        missing = of_trainer(without_data(trained, "job", job_variables("recipe")))
        return [each for each in missing if not each.startswith(OWN)] == []

    wait_until(all_but_own, "every panel has data")
    wait_until(lambda: of_trainer(without_data(trained, "fleet", {"__rate_interval": "10s"})) == [], "so has the fleet")


def test_a_programs_own_metrics_are_shown(trained: Prometheus) -> None:
    def own() -> bool:
        return not any(each.startswith(OWN) for each in without_data(trained, "job", job_variables("script")))

    wait_until(own, "its own metrics are there")


def test_a_query_without_data_would_be_seen(trained: Prometheus) -> None:
    missing = of_trainer(without_data(trained, "job", job_variables("no-such-job")))
    assert len(missing) == len([each for _, each in queries("job") if "trainyard_operator_" not in each])


def test_every_panel_about_the_operator_shows_what_it_tells(tmp_path: Path) -> None:
    metrics = pytest.importorskip("trainyard_operator.metrics", reason="the operator isn't here yet")
    key = pytest.importorskip("trainyard_operator.names").Key
    told = metrics.Metrics()
    progress = Progress(step=10, steps=20, loss=0.5)
    told.jobs = {key("default", "digits"): Status(phase="Running", reason="Running", nodes=2, progress=progress)}
    told.leader.set(1)
    told.watch_age.labels("pods").set(3)
    server, thread = start_http_server(0, "127.0.0.1", told.registry)
    scrape = {
        "job_name": "operator",
        "honor_labels": True,  # as in the ServiceMonitor
        "static_configs": [
            {
                "targets": [f"127.0.0.1:{server.server_port}"],
                "labels": {"namespace": "trainyard", "pod": "operator-0"},
            }
        ],
    }

    def something_happens() -> None:
        told.api_calls.labels("patch", "200").inc()
        told.restarted("user", 1)
        told.reconcile.labels("ok").observe(0.01)
        for histogram in (told.to_pods, told.to_running, told.to_complete):
            histogram.observe(0.1)

    def missing(name: str, variables: dict[str, str]) -> list[str]:
        something_happens()
        found = without_data(running_server, name, variables)
        return [each for each in found if "trainyard_operator_" in each]

    try:
        with prometheus(tmp_path, [scrape]) as running_server:
            wait_until(lambda: missing("fleet", {"__rate_interval": "10s"}) == [], "the fleet's panels have data")
            wait_until(lambda: missing("job", job_variables("digits")) == [], "the job's panels have data")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_files_are_what_the_code_makes() -> None:
    program = "from dashboards import __main__ as it; import sys; sys.stdout.write(it.text(getattr(it, sys.argv[1])()))"
    environment = {**os.environ, "PYTHONPATH": str(CHART.parent)}
    for name in ("job", "fleet"):
        command = [sys.executable, "-c", program, name]
        made = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        assert (FOLDER / f"{name}.json").read_text() == made, "run `make generate`"


@pytest.mark.parametrize("name", ["job", "fleet"])
def test_every_panel_can_be_told_apart_and_is_in_a_place_of_its_own(name: str) -> None:
    panels = json.loads((FOLDER / f"{name}.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels)
    for panel in panels:
        references = [each["refId"] for each in panel.get("targets", [])]
        assert len(set(references)) == len(references)
        assert "" not in references


def test_every_metric_of_the_alerts_is_on_a_dashboard() -> None:
    """Whoever is woken up sees the number that woke them."""
    alerts = (CHART / "files" / "alerts.yaml").read_text()
    shown = " ".join(expression for name in ("job", "fleet") for _, expression in queries(name))
    names = set(re.findall(r"trainyard_[a-z_]+", re.sub(r"#.*|summary.*|description.*", "", alerts)))
    without_suffix = {re.sub(r"_(count|sum|bucket)$", "", each) for each in names}
    assert {each for each in without_suffix if each not in shown} == set()
