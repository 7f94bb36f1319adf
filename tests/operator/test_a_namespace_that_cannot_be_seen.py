"""Of several namespaces that are named, one in which the operator has no role, or that is gone, holds up no other."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client

from support.api_proxy import ApiProxy
from support.cluster import Namespace, namespace, until
from support.control_plane import ControlPlane
from support.forked_operator import ForkedOperator, an_operator

EVERYTHING = ["get", "list", "watch", "create", "patch", "delete"]
RULES = [
    {"apiGroups": ["trainyard.dev"], "resources": ["trainingjobs", "trainingjobs/status"], "verbs": EVERYTHING},
    {"apiGroups": [""], "resources": ["pods", "services", "configmaps", "events"], "verbs": EVERYTHING},
]
BLIND = [RULES[0], {"apiGroups": [""], "resources": ["pods", "services", "configmaps"], "verbs": ["create", "get"]}]
LEASE = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "get", "update"]}


@pytest.fixture
def home(plane: ControlPlane) -> Iterator[Namespace]:
    """Where the operator's account and its Lease are, and one team's jobs."""
    with namespace(plane, "home") as found:
        found.core.create_namespaced_service_account("home", {"metadata": {"name": "operator"}})
        give_role(found, [*RULES, LEASE])
        yield found


@pytest.fixture
def other(plane: ControlPlane) -> Iterator[Namespace]:
    """Another team's."""
    with namespace(plane, "other") as found:
        yield found


def give_role(space: Namespace, rules: list[dict[str, list[str]]]) -> None:
    """Let the operator's account do in `space` what `rules` say."""
    api = client.RbacAuthorizationV1Api(space.api)
    api.create_namespaced_role(space.name, {"metadata": {"name": "operator"}, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"}
    subject = {"kind": "ServiceAccount", "name": "operator", "namespace": "home"}
    body = {"metadata": {"name": "operator"}, "roleRef": reference, "subjects": [subject]}
    api.create_namespaced_role_binding(space.name, body)


def take_role(space: Namespace) -> None:
    """Take it away again."""
    api = client.RbacAuthorizationV1Api(space.api)
    api.delete_namespaced_role_binding("operator", space.name)
    api.delete_namespaced_role("operator", space.name)


def refused(operator: ForkedOperator) -> float:
    """How often it asked in vain."""
    return operator.metric('trainyard_operator_api_calls_total{code="403",verb="get"}')


def asks_in_vain(operator: ForkedOperator, times: int = 8) -> None:
    """Wait until it has gone on asking."""
    before = refused(operator)
    until("it asks in vain", lambda: refused(operator) >= before + times)


def mend(space: Namespace, attempt: int) -> None:
    """Wait until the fault is counted, and run the pod that is made anew."""
    until("it is counted", lambda: space.status("digits")["restarts"]["attempt"] == attempt)
    until("it is replaced", lambda: space.replaced("digits-1"))
    space.run_all("digits")


def lose_one_and_go_on(space: Namespace, attempt: int) -> None:
    """A fault is noticed and mended."""
    space.end("digits-1", 137, reason="OOMKilled")
    mend(space, attempt)


def test_others_go_on_and_it_is_healed_without_a_restart(
    plane: ControlPlane, proxy: ApiProxy, home: Namespace, other: Namespace, tmp_path: Path
) -> None:
    other.create("digits")
    kubeconfig = proxy.kubeconfig(plane.service_account("home", "operator"))
    named = {"TRAINYARD_NAMESPACES": "home,other", "POD_NAMESPACE": "home", "TRAINYARD_RESYNC_SECONDS": "0.5"}
    quick = {"watch._MOST_SECONDS": 0.5, "web.WATCH_SECONDS": 2.0}
    with an_operator(kubeconfig, tmp_path / "log", quick, **named) as operator:
        home.create("digits")
        home.run_all("digits")
        asks_in_vain(operator)
        give_role(other, BLIND)  # enough to make pods, not enough to see whether there are any
        asks_in_vain(operator)
        assert not other.pods("digits")
        take_role(other)
        give_role(other, RULES)
        other.run_all("digits")

        take_role(other)
        proxy.cut_watches("/other/")
        asks_in_vain(operator)
        other.end("digits-1", 137, reason="OOMKilled")
        lose_one_and_go_on(home, 1)
        asks_in_vain(operator)
        assert operator.get("/healthz") == "ok"
        give_role(other, RULES)
        mend(other, 1)

        other.call("DELETE", f"/api/v1/namespaces/{other.name}")
        for pod in other.pods("digits"):
            other.remove(pod)
        until("the namespace is gone", lambda: _is_gone(other))
        proxy.cut_watches("/other/")
        asks_in_vain(operator)
        lose_one_and_go_on(home, 2)
        assert operator.get("/healthz") == "ok"
        assert operator.ended() is None
        log = operator.log.read_text()
        assert "Traceback" not in log
        assert "pods in namespace other can't be seen" in log


def _is_gone(space: Namespace) -> bool:
    return space.name not in {each.metadata.name for each in space.core.list_namespace().items}
