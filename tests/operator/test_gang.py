"""A job for a scheduler of gangs: its PodGroup is made, once, whatever becomes of its pods."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from support.api_proxy import PASS, ApiProxy, Fault, Request
from support.cluster import Namespace, Object, until
from support.control_plane import ControlPlane
from support.forked_operator import an_operator

PATH = "/apis/scheduling.x-k8s.io/v1alpha1/namespaces/{}/podgroups"
MADE = "POST podgroups"
GANG = {"gang": "coscheduling"}


@pytest.fixture(scope="module")
def scheduler(plane: ControlPlane) -> Iterator[None]:
    """As much of one as the operator sees: it serves PodGroups."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    spec = {
        "group": "scheduling.x-k8s.io",
        "scope": "Namespaced",
        "names": {"plural": "podgroups", "singular": "podgroup", "kind": "PodGroup"},
        "versions": [version],
    }
    name = "podgroups.scheduling.x-k8s.io"
    approved = {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/scheduler-plugins/pull/50"}
    with plane.api() as api:
        extensions = client.ApiextensionsV1Api(api)
        extensions.create_custom_resource_definition(
            {"metadata": {"name": name, "annotations": approved}, "spec": spec}
        )
        until("podgroups are served", lambda: _groups(Namespace(api, "default")) is not None)
        yield
        extensions.delete_custom_resource_definition(name)


@pytest.mark.usefixtures("scheduler")
def test_pods_and_their_group_are_made_and_replaced(proxy: ApiProxy, alone: Namespace, tmp_path: Path) -> None:
    with an_operator(proxy.through, tmp_path / "log", TRAINYARD_NAMESPACES=alone.name) as operator:
        alone.create("digits", nodes=3, template=GANG, elastic={"minNodes": 2, "maxNodes": 3})
        pods = alone.run_all("digits", 3)
        (group,) = _groups(alone) or []
        assert group["metadata"]["name"] == "tj-digits"
        assert group["spec"] == {"minMember": 2}
        assert {pod["metadata"]["labels"]["scheduling.x-k8s.io/pod-group"] for pod in pods.values()} == {"tj-digits"}
        alone.end("digits-1", 137, reason="OOMKilled")
        until("it is replaced", lambda: alone.replaced("digits-1"))
        alone.run_all("digits", 3)
        assert proxy.writes.count(MADE) == 1
        alone.delete("digits")
        for pod in pods:
            alone.remove(pod)
        until("its group goes with it", lambda: _groups(alone) == [])
        alone.create("digits", template=GANG)
        alone.run_all("digits")
        assert [each["spec"] for each in _groups(alone) or []] == [{"minMember": 2}]
        assert "Traceback" not in operator.log.read_text()


@pytest.mark.usefixtures("scheduler")
def test_a_quota_is_told_and_the_group_is_asked_for_once(proxy: ApiProxy, alone: Namespace, tmp_path: Path) -> None:
    base = f"/api/v1/namespaces/{alone.name}/resourcequotas"
    alone.call("POST", base, {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}})
    until("the quota is in force", lambda: alone.call("GET", f"{base}/none").get("status", {}).get("hard"))
    with an_operator(
        proxy.through, tmp_path / "log", {"patience._SECONDS": 0.1}, TRAINYARD_NAMESPACES=alone.name
    ) as operator:
        alone.create("digits", template=GANG)
        assert "exceeded quota" in alone.when("digits", reason="QuotaExceeded")["message"]
        looks = operator.looks()
        until("it has tried again", lambda: operator.looks() > looks + 3)
        alone.call("DELETE", f"{base}/none")
        alone.run_all("digits")
    assert (proxy.writes.count(MADE), [kind for kind, _ in proxy.refused if kind == MADE]) == (1, [])


@pytest.mark.usefixtures("scheduler")
def test_a_group_that_came_to_nothing_is_made_though_its_pods_are_there(
    proxy: ApiProxy, alone: Namespace, tmp_path: Path
) -> None:
    seen: list[str] = []

    def choose(request: Request) -> Fault:
        if request.kind != MADE:
            return PASS
        seen.append(request.kind)
        return Fault("answer") if len(seen) == 1 else PASS

    proxy.choose = choose
    with an_operator(proxy.through, tmp_path / "log", TRAINYARD_NAMESPACES=alone.name):
        alone.create("digits", template=GANG)
        alone.created("digits")
        until("there is a group", lambda: _groups(alone))


def test_a_cluster_without_such_a_scheduler_is_told(space: Namespace) -> None:
    space.create("digits", template={"gang": "volcano"})
    message = space.when("digits", reason="MissingConfig")["message"]
    assert "PodGroup tj-digits can't be made" in message
    assert "template.gang" in message
    space.run_all("digits")


def _groups(space: Namespace) -> list[Object] | None:
    """None: they aren't served."""
    try:
        found: Any = space.call("GET", PATH.format(space.name))["items"]
    except client.ApiException:
        return None
    return list(found)
