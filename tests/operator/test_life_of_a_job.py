"""What any user counts on: pods are made, run, complete; suspend and resume; deadline; scale; limits."""

import json
import time

import pytest
from kubernetes.client import ApiException

from support.cluster import Namespace, now, until


def test_a_job_runs_and_completes(space: Namespace) -> None:
    space.create("digits")
    pods = space.created("digits")
    assert sorted(pods) == ["digits-0", "digits-1"]
    space.run_all("digits")
    space.end("digits-1")
    space.end("digits-0")
    began = time.monotonic()
    status = space.when("digits", phase="Complete")
    print(f"last pod's end -> Complete: {time.monotonic() - began:.2f} s (target < 2)")  # noqa: T201
    assert status["completionTime"]
    assert {each["type"]: each["status"] for each in status["conditions"]} == {
        "Reconciling": "False",
        "Stalled": "False",
        "Running": "False",
        "Suspended": "False",
        "Complete": "True",
        "Failed": "False",
    }


def test_it_is_suspended_and_resumed(space: Namespace) -> None:
    space.create("digits")
    space.run_all("digits")
    space.patch("digits", suspend=True)
    until("the pods are told to stop", lambda: all(_leaves(pod) for pod in space.pods("digits").values()))
    assert space.when("digits", phase="Suspending")["reason"] == "Suspending"
    for pod in space.pods("digits"):
        space.remove(pod)
    status = space.when("digits", phase="Suspended")
    assert status["restarts"]["infrastructure"] == 0
    assert "runningSince" not in status
    space.patch("digits", suspend=False)
    space.run_all("digits")


def test_the_checkpoint_of_its_suspension_is_told(space: Namespace) -> None:
    space.create("digits", nodes=1)
    space.run_all("digits", 1)
    space.patch("digits", suspend=True)
    until("the pod is told to stop", lambda: all(_leaves(pod) for pod in space.pods("digits").values()))
    checkpoint = {"uri": "s3://bucket/runs/step-7", "step": 7, "time": "2026-11-25T00:00:00Z"}
    space.end("digits-0", 143, json.dumps({"version": 1, "checkpoint": checkpoint}))
    space.remove("digits-0")
    assert space.when("digits", phase="Suspended")["checkpoint"] == checkpoint


def test_one_that_begins_suspended_makes_no_pods_until_it_is_resumed(space: Namespace) -> None:
    space.create("digits", suspend=True)
    space.when("digits", phase="Suspended")
    assert not space.pods("digits")
    space.patch("digits", suspend=False)
    space.created("digits")


def test_resuming_while_pods_still_leave_counts_no_restart(space: Namespace) -> None:
    space.create("digits")
    space.run_all("digits")
    space.patch("digits", suspend=True)
    space.when("digits", phase="Suspending")
    until("the pods are told to stop", lambda: all(_leaves(pod) for pod in space.pods("digits").values()))
    space.patch("digits", suspend=False)
    for pod in space.pods("digits"):
        space.remove(pod)
    assert space.run_all("digits")
    assert space.status("digits")["restarts"] == {"user": 0, "infrastructure": 0, "attempt": 0}


def test_the_deadline_counts_running_time_alone_and_keeps_the_pods(space: Namespace) -> None:
    space.create("digits", activeDeadlineSeconds=2)
    space.created("digits")
    assert space.status("digits").get("runningSince") is None  # pods that wait for a node use up nothing
    space.run_all("digits")
    status = space.when("digits", phase="Failed", reason="DeadlineExceeded")
    assert status["runningSeconds"] >= 2
    pods = space.pods("digits")
    assert len(pods) == 2
    until("the kubelets are told to end them", lambda: all(_ends(pod) for pod in space.pods("digits").values()))
    assert not any(_leaves(pod) for pod in space.pods("digits").values())


def test_a_deadline_is_borne_while_suspended(space: Namespace) -> None:
    space.create("digits", activeDeadlineSeconds=3600)
    space.run_all("digits")
    space.patch("digits", suspend=True)
    until("the pods are told to stop", lambda: all(_leaves(pod) for pod in space.pods("digits").values()))
    for pod in space.pods("digits"):
        space.remove(pod)
    status = space.when("digits", phase="Suspended")
    used = status["runningSeconds"]
    space.patch("digits", activeDeadlineSeconds=used + 1)
    space.patch("digits", suspend=False)
    space.run_all("digits")
    space.when("digits", phase="Failed", reason="DeadlineExceeded")


def test_children_go_after_their_time_and_never_come_back(space: Namespace) -> None:
    space.create("digits", ttlSecondsAfterFinished=1)
    space.run_all("digits")
    for pod in ("digits-1", "digits-0"):
        space.end(pod)
    space.when("digits", phase="Complete")
    until("the pods are gone", lambda: not space.pods("digits"))
    space.patch("digits", ttlSecondsAfterFinished=2)  # something happens to the job: it is looked at again
    until(
        "that was seen",
        lambda: space.status("digits")["observedGeneration"] == space.get("digits")["metadata"]["generation"],
    )
    assert not space.pods("digits")
    assert space.status("digits")["phase"] == "Complete"


def test_an_elastic_job_follows_its_scale(space: Namespace) -> None:
    space.create("digits", elastic={"minNodes": 1, "maxNodes": 3})
    space.run_all("digits")
    space.patch("digits", nodes=1)
    until("the highest goes", lambda: _leaves(space.pods("digits")["digits-1"]))
    space.remove("digits-1")
    space.when("digits", phase="Running", nodes=1)
    space.patch("digits", nodes=3)
    space.created("digits", 3)
    assert space.status("digits")["phase"] == "Running"  # it goes on while the others come
    for index in (1, 2):
        space.run(f"digits-{index}", f"node-{index}")
    status = space.when("digits", nodes=3)
    assert status["restarts"]["infrastructure"] == 0


def test_a_node_that_never_comes_is_done_without_and_taken_in_later(space: Namespace) -> None:
    space.create("digits", elastic={"minNodes": 1, "maxNodes": 2, "shrinkAfterSeconds": 1})
    space.created("digits")
    space.run("digits-0", "node-0")
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room"}
    space.pod_status("digits-1", conditions=[scheduled])
    status = space.when("digits", phase="Running", nodes=1)
    assert status["restarts"]["attempt"] == 0
    space.pod_status("digits-1", conditions=[])
    space.run("digits-1", "node-1")
    assert space.when("digits", phase="Running", nodes=2).get("unschedulableSince") is None


def test_the_highest_makes_room_for_node_0(space: Namespace) -> None:
    space.create("digits", elastic={"minNodes": 1, "maxNodes": 2, "shrinkAfterSeconds": 1})
    space.created("digits")
    space.run("digits-1", "node-1")
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "lastTransitionTime": now()}
    space.pod_status("digits-0", conditions=[scheduled])
    until("the other one goes", lambda: _leaves(space.pods("digits")["digits-1"]))
    assert space.status("digits")["phase"] == "Pending"
    space.remove("digits-1")
    space.when("digits", nodes=1)
    assert list(space.pods("digits")) == ["digits-0"]
    space.pod_status("digits-0", conditions=[])
    status = space.run_all("digits") and space.status("digits")
    assert status["restarts"]["attempt"] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"nodes": 3},
        {"processesPerNode": 2},
        {"storage": {"uri": "s3://other/place"}},
        {"recipe": {"model": {"type": "mlp"}}},
        {"template": {"image": "other"}},
        {"checkpoint": {"keep": 5}},
        {"runtime": "other"},
        {"elastic": {"minNodes": 1, "maxNodes": 4}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_a_job_is_made_of_stays(space: Namespace, change: dict[str, object]) -> None:
    space.create("digits", suspend=True)
    with pytest.raises(ApiException) as refused:
        space.patch("digits", **change)
    assert f"spec.{next(iter(change))} can't change" in refused.value.body
    assert refused.value.status == 422


def test_what_is_about_running_it_may_change(space: Namespace) -> None:
    space.create("digits", suspend=True, elastic={"minNodes": 1, "maxNodes": 3})
    changes = {"nodes": 3, "activeDeadlineSeconds": 5, "ttlSecondsAfterFinished": 5, "recovery": {"maxRestarts": 9}}
    for field, value in changes.items():
        space.patch("digits", **{field: value})
    with pytest.raises(ApiException):
        space.patch("digits", nodes=4)


@pytest.mark.parametrize("name", ["1st", "a" * 58])
def test_names_at_the_limit_work(space: Namespace, name: str) -> None:
    space.create(name, nodes=1)
    space.created(name, 1)


def test_a_name_over_the_limit_is_refused(space: Namespace) -> None:
    with pytest.raises(ApiException) as refused:
        space.create("a" * 59)
    assert "metadata.name" in refused.value.body


def _leaves(pod: dict[str, object]) -> bool:
    return "deletionTimestamp" in pod["metadata"]  # type: ignore[operator]


def _ends(pod: dict[str, object]) -> bool:
    return "activeDeadlineSeconds" in pod["spec"]  # type: ignore[operator]
