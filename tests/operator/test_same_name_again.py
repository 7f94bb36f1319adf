"""A job deleted, and another one of its name made: each phase, nothing of the first is left to the second."""

import contextlib

import pytest
from kubernetes.client import ApiException

from support.cluster import Namespace, until
from support.phases import ENDED, LIVE


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
