"""A Prometheus that has the chart's monitors and alerts: every panel has data during a run, and no alert cries wolf."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from harness import prometheus
from harness.cluster import Cluster
from harness.images import Images
from harness.places import ROOT
from harness.product import SYSTEM, Object, Team, until
from support.dashboards import OWN, without_data
from support.prometheus import Prometheus

LONG: Any = {"epochs": 2000, "checkpoint": {"everySteps": 20, "keep": 2}}
_RATE = "5m"  # so that what happened once since the test began is in every rate
_PROGRAM = """
import itertools, time, torch
from trainyard_trainer import current_job
job = current_job()
checkpoints = job.checkpointer({"model": torch.nn.Linear(1, 1)})
for step in itertools.count(1):
    checkpoints.step(step, samples=8)
    job.log(step, loss=0.5, bleu=12.5)
    time.sleep(0.05)  # leaves the cores to the others
"""


@pytest.fixture(scope="module")
def server(operator: str, cluster: Cluster, images: Images) -> Iterator[Prometheus]:
    """Prometheus, once it has scraped both replicas of the operator."""
    with prometheus.deployed(cluster, images.prometheus) as running:
        wanted = f'count(trainyard_operator_leader{{namespace="{operator}"}}) == 2'
        until("both are scraped", lambda: {"found": running.query(wanted)}, lambda it: bool(it["found"]))
        yield running


def test_every_panel_of_both_dashboards_has_data(team: Team, server: Prometheus) -> None:
    team.apply(team.digits("digits", **LONG))
    team.apply(_script(team, "own", _PROGRAM))
    team.apply(team.digits("short", epochs=1, nodes=1))  # for the time that a job takes to its end
    until("they have", lambda: {"without data": _empty(team, server)}, lambda it: it["without data"] == [])


def test_both_nodes_of_a_job_are_told_apart(team: Team, server: Prometheus) -> None:
    team.apply(team.digits("digits", **LONG))
    chosen = f'up{{namespace="{team.namespace}", job_name="digits"}} == 1'
    until("both are up", lambda: {"nodes": _values(server, chosen, "node")}, lambda it: it["nodes"] == ["0", "1"])
    assert _values(server, chosen, "pod") == ["digits-0", "digits-1"]


def test_every_alert_is_loaded_and_can_be_evaluated(server: Prometheus) -> None:
    groups = yaml.safe_load((ROOT / "helm/trainyard/files/alerts.yaml").read_text())["groups"]
    wanted = {rule["alert"]: "ok" for group in groups for rule in group["rules"]}
    until("all are", lambda: {rule["name"]: rule["health"] for rule in server.rules()}, lambda it: it == wanted)


def test_only_what_failed_is_an_alert_not_what_was_recovered(team: Team, server: Prometheus) -> None:
    team.apply(team.digits("digits", **LONG))
    step = team.stepping("digits", beyond=20)
    team.cluster.kubectl("-n", team.namespace, "delete", "pod", "digits-1", "--wait=false", "--grace-period=1")
    restarted = f'trainyard_operator_job_restarts{{namespace="{team.namespace}", cause="infrastructure"}} == 1'
    until("it is counted", lambda: {"found": server.query(restarted)}, lambda it: bool(it["found"]))
    team.stepping("digits", beyond=step)
    team.apply(_script(team, "broken", "raise ValueError('no such luck')\n", recovery={"maxRestarts": 0}))
    team.when("broken", phase="Failed")
    must = [["TrainyardJobFailed", "broken"]]
    until("it fires", lambda: {"firing": _firing(team, server)}, lambda it: must[0] in it["firing"])
    assert _firing(team, server) == must


def _script(team: Team, name: str, program: str, **spec: Any) -> Object:
    """A job of one node that runs `program`."""
    team.script(name, program)
    job = team.digits(name, nodes=1, **spec)
    del job["spec"]["recipe"]
    job["spec"]["script"] = {"command": ["train.py"], "source": f"{team.bucket}/code/{name}.tar.gz"}
    return job


def _empty(team: Team, server: Prometheus) -> list[str]:
    """Queries without data: of the fleet, of a recipe's job; of a program's, the panel that is for programs alone."""
    rate = {"__rate_interval": _RATE}
    of_job = {name: {"namespace": team.namespace, "job_name": name, **rate} for name in ("digits", "own")}
    return [
        *without_data(server, "fleet", rate),
        *(each for each in without_data(server, "job", of_job["digits"]) if not each.startswith(OWN)),
        *(each for each in without_data(server, "job", of_job["own"]) if each.startswith(OWN)),
    ]


def _values(server: Prometheus, expression: str, label: str) -> list[str]:
    return sorted(series["metric"].get(label, "") for series in server.query(expression))


def _firing(team: Team, server: Prometheus) -> list[list[str]]:
    """Alert and job, of this team's jobs and of the operator; other tests' jobs may have failed on purpose."""
    return sorted(
        [rule["name"], alert["labels"].get("job_name", "")]
        for rule in server.rules()
        for alert in rule["alerts"]
        if alert["state"] == "firing" and alert["labels"].get("namespace") in (team.namespace, SYSTEM, None)
    )
