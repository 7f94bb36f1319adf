"""What the operator may do: what it needs, nothing on Secrets, nothing everywhere where namespaces are named."""

from typing import Any

import pytest

from support.chart_values import VARIANTS
from support.helm import of_kind, rendered

IN_EACH_NAMESPACE = {
    ("trainyard.dev", "trainingjobs"): {"get", "list", "watch"},
    ("trainyard.dev", "trainingjobs/status"): {"patch"},
    ("", "pods"): {"get", "list", "watch", "create", "patch", "delete"},
    ("", "services"): {"get", "list", "watch", "create", "patch", "delete"},
    ("", "configmaps"): {"get", "list", "watch", "create", "patch", "delete"},
    ("", "events"): {"list", "create"},
    ("scheduling.x-k8s.io", "podgroups"): {"get", "create", "patch"},
    ("scheduling.volcano.sh", "podgroups"): {"get", "create", "patch"},
}
IN_THE_CLUSTER = {
    ("trainyard.dev", "trainingruntimes"): {"list", "watch"},
    ("", "nodes"): {"list", "watch"},
}


def rights(role: dict[str, Any]) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault((group, resource), set()).update(rule["verbs"])
    return found


def roles(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return of_kind(objects, "Role") + of_kind(objects, "ClusterRole")


def bound(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Roles of `kind` that the operator's account has by a binding."""
    names = {
        (each["metadata"].get("namespace"), each["roleRef"]["name"])
        for each in of_kind(objects, f"{kind}Binding")
        if each["subjects"] == [{"kind": "ServiceAccount", "name": "trainyard-operator", "namespace": "trainyard"}]
    }
    return [
        each
        for each in of_kind(objects, kind)
        if (each["metadata"].get("namespace"), each["metadata"]["name"]) in names
    ]


@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_on_secrets_and_no_star(variant: str) -> None:
    for role in roles(rendered(VARIANTS[variant])):
        for rule in role["rules"]:
            assert "nonResourceURLs" not in rule
            words = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not [word for word in words if "*" in word], role["metadata"]["name"]
            assert not [word for word in rule["resources"] if "secret" in word], role["metadata"]["name"]
            assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"]), role["metadata"]["name"]


def test_in_all_namespaces() -> None:
    objects = rendered()
    (role,) = bound(objects, "ClusterRole")
    assert rights(role) == {**IN_EACH_NAMESPACE, **IN_THE_CLUSTER}
    (lease,) = bound(objects, "Role")
    assert lease["metadata"]["namespace"] == "trainyard"


def test_in_named_namespaces_nothing_is_cluster_scoped() -> None:
    objects = rendered(VARIANTS["namespaced"])
    scoped = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "TrainingRuntime", "PriorityClass"}
    assert not scoped & {each["kind"] for each in objects}
    assert {each["metadata"]["namespace"] for each in objects} == {"trainyard", "team-a", "team-b"}
    in_each = {each["metadata"]["namespace"]: rights(each) for each in bound(objects, "Role")}
    assert in_each["team-a"] == in_each["team-b"] == IN_EACH_NAMESPACE
    assert in_each.keys() == {"trainyard", "team-a", "team-b"}


def test_one_lease() -> None:
    (lease,) = bound(rendered(), "Role")
    creating, using = lease["rules"]
    assert creating == {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]}
    assert using["resourceNames"] == ["trainyard-operator"]
    assert set(using["verbs"]) == {"get", "update"}


def test_people_get_theirs_with_view_and_edit() -> None:
    found = {each["metadata"]["name"].rpartition("-")[2]: each for each in of_kind(rendered(), "ClusterRole")}
    assert set(rights(found["viewer"])["trainyard.dev", "trainingjobs"]) == {"get", "list", "watch"}
    assert "create" in rights(found["editor"])["trainyard.dev", "trainingjobs"]
    assert ("trainyard.dev", "trainingjobs/status") not in rights(found["editor"])
    to = {
        name: {label.rpartition("-")[2] for label in each["metadata"]["labels"] if "aggregate-to" in label}
        for name, each in found.items()
    }
    assert to == {
        "viewer": {"view", "edit", "admin"}, "editor": {"edit", "admin"}, "operator": set(), "presets": set()
    }  # fmt: skip
    assert rights(found["presets"]) == {("trainyard.dev", "trainingruntimes"): {"get", "list", "watch"}}
    assert len(of_kind(rendered({"rbac": {"aggregate": False}}), "ClusterRole")) == 1


def test_none_by_choice() -> None:
    objects = rendered(VARIANTS["bare"])
    assert not {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ServiceAccount"} & {
        each["kind"] for each in objects
    }
    (deployment,) = of_kind(objects, "Deployment")
    assert deployment["spec"]["template"]["spec"]["serviceAccountName"] == "mine"
