"""How Argo CD sees a TrainingJob: its own language, over statuses as the operator writes them."""

from typing import Any

import pytest
import yaml
from lupa import lua51  # the Lua that Argo CD speaks

from support.gitops_base import ROOT
from support.helm import of_kind, rendered
from support.kustomize import build
from support.schemas import problems
from trainyard_api.status import Status

FOLDER = ROOT / "gitops" / "argocd"
HEALTH = {
    "Pending": "Progressing",
    "Starting": "Progressing",
    "Running": "Progressing",
    "Restarting": "Progressing",
    "Suspending": "Progressing",
    "Suspended": "Suspended",
    "Complete": "Healthy",
    "Failed": "Degraded",
}


def job(status: Status | None, generation: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = {"metadata": {"name": "digits", "generation": generation}, "spec": {}}
    if status is not None:
        found["status"] = status.model_dump(by_alias=True, exclude_none=True, mode="json")
    return found


def health(job: dict[str, Any]) -> dict[str, Any]:
    """The script's answer, run without libraries as Argo CD runs it."""
    lua = lua51.LuaRuntime(register_eval=False)
    lua.execute("os, io, debug, package, require, string, table, math = nil")
    lua.globals().obj = lua.table_from(job, recursive=True)
    return dict(lua.execute((FOLDER / "health.lua").read_text()))


@pytest.mark.parametrize("phase", HEALTH)
def test_each_phase(phase: str) -> None:
    status = Status(phase=phase, reason="Because", message="so it is", observedGeneration=1)
    assert health(job(status)) == {"status": HEALTH[phase], "message": "so it is"}


def test_every_phase_of_the_operator_is_known() -> None:
    metrics = pytest.importorskip("trainyard_operator.metrics", reason="the operator isn't here yet")
    assert set(metrics.PHASES) == set(HEALTH)


def test_what_the_operator_has_not_seen_is_progressing() -> None:
    assert health(job(None))["status"] == "Progressing"
    old = Status(phase="Complete", reason="Completed", message="done", observedGeneration=1)
    assert health(job(old, generation=2))["status"] == "Progressing"


def test_there_is_always_a_message() -> None:
    assert health(job(Status(phase="Failed", reason="UserError", observedGeneration=1)))["message"] == "UserError"
    assert health(job(Status(phase="Failed", observedGeneration=1)))["message"] == "Failed"


def test_its_settings_hold_the_script() -> None:
    (settings,) = build(FOLDER)
    assert settings["metadata"] == {"name": "argocd-cm", "namespace": "argocd"}
    key = "resource.customizations.health.trainyard.dev_TrainingJob"
    assert settings["data"] == {key: (FOLDER / "health.lua").read_text()}


def test_the_applications_are_what_argo_cd_takes() -> None:
    applications = list(yaml.safe_load_all((FOLDER / "application.yaml").read_text()))
    assert [problems(each) for each in applications] == [[], []]
    operator = applications[0]["spec"]["source"]
    assert (ROOT / operator["path"] / "Chart.yaml").exists()


def test_the_chart_takes_the_values_of_the_application() -> None:
    source = next(yaml.safe_load_all((FOLDER / "application.yaml").read_text()))["spec"]["source"]
    objects = rendered(source["helm"]["valuesObject"])
    assert len(of_kind(objects, "TrainingRuntime")) == 2  # one hook each
    assert len(of_kind(objects, "PodDisruptionBudget")) == 1
