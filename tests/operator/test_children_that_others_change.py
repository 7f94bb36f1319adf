"""What others do to a job's children is put right, and what others say of a job isn't fought over."""

from pathlib import Path
from typing import Any

import pytest

from support.api_proxy import PASS, ApiProxy, Fault, Request
from support.cluster import Namespace, Object, job, until
from support.forked_operator import ForkedOperator, an_operator

MERGE = "application/merge-patch+json"
CHANGES: dict[str, tuple[str, Object]] = {
    "the job's file": ("configmaps", {"data": {"job.json": "{}"}}),
    "a file taken away": ("configmaps", {"data": {"runtime.json": None}}),
    "a selector": ("services", {"spec": {"selector": {"trainyard.dev/job": "another"}}}),
    "a selector that is narrower": ("services", {"spec": {"selector": {"narrow": "yes"}}}),
    "readiness asked for": ("services", {"spec": {"publishNotReadyAddresses": False}}),
    "a label": ("services", {"metadata": {"labels": {"app.kubernetes.io/name": "other"}}}),
    "the label by which it is found": ("configmaps", {"metadata": {"labels": {"trainyard.dev/job": None}}}),
    "the label by which they are selected": ("services", {"metadata": {"labels": {"app.kubernetes.io/name": None}}}),
}


@pytest.mark.parametrize(("kind", "change"), CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_child_is_put_right(space: Namespace, kind: str, change: Object) -> None:
    space.create("digits")
    space.run_all("digits")
    path = f"/api/v1/namespaces/{space.name}/{kind}/tj-digits"
    before = _essence(space.call("GET", path))
    space.call("PATCH", path, change, MERGE)
    until("it is as it was", lambda: _essence(space.call("GET", path)) == before)
    space.call("PATCH", path, change, MERGE)  # it is still looked after
    until("it is as it was again", lambda: _essence(space.call("GET", path)) == before)
    assert space.status("digits")["restarts"]["attempt"] == 0


@pytest.mark.parametrize("kind", ["services", "configmaps"])
def test_a_deleted_child_comes_back(space: Namespace, kind: str) -> None:
    space.create("digits")
    space.run_all("digits")
    path = f"/api/v1/namespaces/{space.name}/{kind}/tj-digits"
    before = space.call("GET", path)
    space.call("DELETE", path)
    until("there is another", lambda: _uid(space, kind) not in (None, before["metadata"]["uid"]))
    assert _essence(space.call("GET", path)) == _essence(before)
    assert space.status("digits")["restarts"]["attempt"] == 0


def test_a_pod_whose_label_was_taken_away_is_the_jobs_all_the_same(space: Namespace) -> None:
    space.create("digits")
    space.run_all("digits")
    path = f"/api/v1/namespaces/{space.name}/pods/digits-1"
    space.call("PATCH", path, {"metadata": {"labels": {"trainyard.dev/job": None}}}, MERGE)
    space.end("digits-1", 137, reason="OOMKilled")
    space.when("digits", reason="OutOfMemory")
    until("it is made anew", lambda: _phase(space, "digits-1") == "Pending")
    space.run_all("digits")
    assert space.status("digits")["restarts"]["attempt"] == 1


def test_a_pod_that_its_watch_loses_by_its_label_is_found_again(space: Namespace) -> None:
    space.create("digits")
    space.run_all("digits")
    path = f"/api/v1/namespaces/{space.name}/pods/digits-1"
    uid = space.call("GET", path)["metadata"]["uid"]
    space.call("PATCH", path, {"metadata": {"labels": {"app.kubernetes.io/name": None}}}, MERGE)
    until("its label is back", lambda: "app.kubernetes.io/name" in space.call("GET", path)["metadata"]["labels"])
    space.when("digits", phase="Running", nodesReady=2)
    assert space.call("GET", path)["metadata"]["uid"] == uid
    space.end("digits-1", 137, reason="OOMKilled")
    space.when("digits", reason="OutOfMemory")


def test_what_others_add_is_theirs(proxy: ApiProxy, alone: Namespace, tmp_path: Path) -> None:
    with an_operator(proxy.through, tmp_path / "log", TRAINYARD_NAMESPACES=alone.name) as operator:
        alone.create("digits")
        alone.run_all("digits")
        _at_rest(operator, alone)
        writes = _recorded(proxy)
        for kind in ("services", "configmaps"):
            path = f"/api/v1/namespaces/{alone.name}/{kind}/tj-digits"
            alone.call("PATCH", path, {"metadata": {"annotations": {"mine": "yes"}, "labels": {"mine": "yes"}}}, MERGE)
        _at_rest(operator, alone)
        assert writes == []
        assert alone.call("GET", path)["metadata"]["annotations"]["mine"] == "yes"


def test_a_manifest_that_is_applied_again_changes_nothing(proxy: ApiProxy, alone: Namespace, tmp_path: Path) -> None:
    body = job("digits", alone.name)
    with an_operator(proxy.through, tmp_path / "log", TRAINYARD_NAMESPACES=alone.name) as operator:
        alone.apply(body, "flux")
        alone.run_all("digits")
        _at_rest(operator, alone)
        before = alone.get("digits")["metadata"]
        writes = _recorded(proxy)
        for _ in range(3):
            alone.apply(body, "flux")
        _at_rest(operator, alone)
        assert writes == []
        assert alone.get("digits")["metadata"]["resourceVersion"] == before["resourceVersion"]
        another = {**body, "spec": {**body["spec"], "recovery": {"maxRestarts": 7}}}
        alone.apply(another, "another")  # forced: both own the rest
        alone.when("digits", observedGeneration=before["generation"] + 1)
        _at_rest(operator, alone)
        assert sorted(writes) == ["PATCH configmaps", "PATCH trainingjobs/status"]
        assert alone.get("digits")["spec"]["recovery"] == {"maxRestarts": 7}
        managers = {each["manager"]: each for each in alone.get("digits")["metadata"]["managedFields"]}
        assert set(managers["trainyard-operator"]["fieldsV1"]) == {"f:status"}


def _recorded(proxy: ApiProxy) -> list[str]:
    """What is written from now on, but for what `_at_rest` has the operator write."""
    writes: list[str] = []

    def choose(request: Request) -> Fault:
        if request.write and "mark-" not in request.path and request.kind != "POST events":
            writes.append(request.kind)
        return PASS

    proxy.choose = choose
    return writes


def _at_rest(operator: ForkedOperator, space: Namespace) -> None:
    """Until the operator has looked at what has happened so far: at a job that was made after it."""
    name = f"mark-{operator.looks():.0f}"
    space.create(name, nodes=1, suspend=True)
    space.when(name, phase="Suspended")
    until("it is at rest", operator.is_settled)


def _phase(space: Namespace, pod: str) -> Any:
    return space.pods("digits").get(pod, {}).get("status", {}).get("phase")


def _uid(space: Namespace, kind: str) -> Any:
    path = f"/api/v1/namespaces/{space.name}/{kind}?labelSelector=trainyard.dev/job=digits"
    return next((each["metadata"]["uid"] for each in space.call("GET", path)["items"]), None)


def _essence(child: Object) -> Object:
    spec = child.get("spec") or {}
    parts = {name: spec.get(name) for name in ("selector", "publishNotReadyAddresses", "clusterIP")}
    return {"labels": child["metadata"].get("labels"), "data": child.get("data"), **parts}
