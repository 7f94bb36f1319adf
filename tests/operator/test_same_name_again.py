"""A job deleted, and another one of its name made: each phase, nothing of the first is left to the second."""

import asyncio
import contextlib

import pytest
from kubernetes.client import ApiException

from support.cluster import Namespace, Object, until
from support.control_plane import ControlPlane
from support.phases import ENDED, LIVE
from trainyard_operator.actions import EndPod
from trainyard_operator.api import Api, ApiError
from trainyard_operator.connection import connect
from trainyard_operator.execute import Executor
from trainyard_operator.index import Index
from trainyard_operator.metrics import Metrics
from trainyard_operator.names import Key


@pytest.mark.parametrize("phase", LIVE + ENDED, ids=lambda phase: phase.__name__)
def test_its_successor_begins_afresh(space: Namespace, phase: object) -> None:
    first = space.create("digits")
    phase(space)  # type: ignore[operator]
    space.delete("digits")
    second = space.create("digits")
    until("nothing of the first is left", lambda: _owners(space) <= {second["metadata"]["uid"]})
    space.run_all("digits")
    assert first["metadata"]["uid"] != second["metadata"]["uid"]
    status = space.status("digits")
    assert status["restarts"] == {"user": 0, "infrastructure": 0, "attempt": 0}
    assert "completionTime" not in status


@pytest.mark.parametrize("phase", LIVE + ENDED, ids=lambda phase: phase.__name__)
def test_nothing_is_left_of_a_deleted_job(space: Namespace, phase: object) -> None:
    space.create("digits")
    phase(space)  # type: ignore[operator]
    space.delete("digits")
    until("nothing is left", lambda: not _owners(space))


def test_a_pod_is_not_ended_for_another_that_had_its_name(
    plane: ControlPlane, alone: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"metadata": {"name": "digits-0"}, "spec": {"containers": [{"name": "trainer", "image": "trainer"}]}}
    pods = f"/api/v1/namespaces/{alone.name}/pods"
    uid = alone.call("POST", pods, body)["metadata"]["uid"]
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig()))

    async def end(uid: str) -> Object:
        connection = connect()
        async with connection.session() as session:
            executor = Executor(Api(session, connection.server, Metrics()), Index(lambda key: None))
            with contextlib.suppress(ApiError):
                await executor.run(Key(alone.name, "digits"), "1", [EndPod("digits-0", uid, 5)])
        await connection.close()
        spec: Object = alone.call("GET", f"{pods}/digits-0")["spec"]
        return spec

    assert "activeDeadlineSeconds" not in asyncio.run(end("another"))
    assert asyncio.run(end(uid))["activeDeadlineSeconds"] == 5


def _owners(space: Namespace) -> set[str]:
    """UIDs of jobs that own anything; pods on their way out are confirmed, as kubelets would."""
    found: set[str] = set()
    for kind in ("pods", "services", "configmaps"):
        path = f"/api/v1/namespaces/{space.name}/{kind}?labelSelector=trainyard.dev/job=digits"
        for each in space.call("GET", path)["items"]:
            if kind == "pods" and "deletionTimestamp" in each["metadata"]:
                options = {"gracePeriodSeconds": 0, "preconditions": {"uid": each["metadata"]["uid"]}}
                with contextlib.suppress(ApiException):  # gone by itself
                    space.call("DELETE", f"/api/v1/namespaces/{space.name}/pods/{each['metadata']['name']}", options)
            found.add(each["metadata"]["ownerReferences"][0]["uid"])
    return found
