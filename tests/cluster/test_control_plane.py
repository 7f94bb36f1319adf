"""The control plane that the tests of the operator stand on behaves as a cluster does."""

from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from support.control_plane import ControlPlane, control_plane

_SECONDS = 60


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with control_plane(tmp_path_factory.mktemp("control-plane")) as running:
        running.start_controllers()
        yield running


@pytest.fixture
def core(plane: ControlPlane) -> Iterator[client.CoreV1Api]:
    with plane.api() as api:
        yield client.CoreV1Api(api)


def test_a_deleted_owner_takes_its_children_along(core: client.CoreV1Api) -> None:
    owner = core.create_namespaced_config_map("default", {"metadata": {"name": "owner"}})
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid}
    child = {"metadata": {"name": "child", "ownerReferences": [reference]}}
    version = core.create_namespaced_config_map("default", child).metadata.resource_version
    core.delete_namespaced_config_map("owner", "default")
    _wait_until_deleted(core.list_namespaced_config_map, "child", version, namespace="default")


def test_a_deleted_namespace_goes_with_what_is_in_it(core: client.CoreV1Api) -> None:
    core.create_namespace({"metadata": {"name": "short-lived"}})
    core.create_namespaced_config_map("short-lived", {"metadata": {"name": "inside"}})
    version = core.read_namespace("short-lived").metadata.resource_version
    core.delete_namespace("short-lived")
    _wait_until_deleted(core.list_namespace, "short-lived", version)


def test_a_user_may_do_what_a_role_grants_and_nothing_else(plane: ControlPlane, core: client.CoreV1Api) -> None:
    with plane.api() as api:
        _grant(api, {"kind": "User", "name": "alice", "apiGroup": "rbac.authorization.k8s.io"})
    with plane.api(plane.user("alice")) as alice, plane.api(plane.user("bob")) as bob:
        client.CoreV1Api(alice).list_namespaced_config_map("default")
        for refused in (alice, bob):
            with pytest.raises(ApiException, match="forbidden"):
                client.CoreV1Api(refused).list_namespaced_secret("default")


def test_a_service_account_is_known_by_its_token(plane: ControlPlane) -> None:
    with plane.api(plane.service_account("default", "default")) as api:
        review = client.AuthenticationV1Api(api).create_self_subject_review({})
    assert review.status.user_info.username == "system:serviceaccount:default:default"


def test_an_outage_ends_with_everything_still_there(plane: ControlPlane, core: client.CoreV1Api) -> None:
    core.create_namespaced_config_map("default", {"metadata": {"name": "kept"}})
    with plane.outage(), plane.api() as api, pytest.raises(HTTPError):
        client.CoreV1Api(api).list_namespace(_request_timeout=1)
    with plane.api() as api:
        assert client.CoreV1Api(api).read_namespaced_config_map("kept", "default").metadata.name == "kept"


def _wait_until_deleted(listing: Any, name: str, version: str, **where: str) -> None:
    selector = f"metadata.name={name}"
    for event in watch.Watch().stream(
        listing, field_selector=selector, resource_version=version, timeout_seconds=_SECONDS, **where
    ):
        if event["type"] == "DELETED":
            return
    raise AssertionError(f"{name} was not deleted within {_SECONDS} s")


def _grant(api: client.ApiClient, subject: dict[str, str]) -> None:
    roles = client.RbacAuthorizationV1Api(api)
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}
    roles.create_namespaced_role("default", {"metadata": {"name": "reader"}, "rules": [rule]})
    role = {"kind": "Role", "name": "reader", "apiGroup": "rbac.authorization.k8s.io"}
    binding = {"metadata": {"name": "reader"}, "roleRef": role, "subjects": [subject]}
    roles.create_namespaced_role_binding("default", binding)
