"""What launchers tell of their work is in the status: how far it is, what it waits for, what it has come through."""

from collections.abc import Iterator
from typing import Any

import pytest

from support.cluster import Namespace, until
from support.report_server import ReportServer, document, report_server

CHECKPOINT = {"uri": "s3://bucket/runs/digits/checkpoints/40", "step": 40, "time": "2026-01-01T00:00:00Z"}
MODEL = {"uri": "s3://bucket/runs/digits/model", "digest": "sha256:1234", "metrics": {"accuracy": 0.97}}
PEER_LOST = {"cause": "PeerLost", "message": "rank 1 is gone"}
CULPRIT = {"cause": "LossNotFinite", "message": "The loss is NaN at step 41.", "rank": 1}


@pytest.fixture
def first() -> Iterator[ReportServer]:
    """Node 0's launcher."""
    with report_server() as server:
        yield server


@pytest.fixture
def second() -> Iterator[ReportServer]:
    """Node 1's."""
    with report_server() as server:
        yield server


def run(space: Namespace, *launchers: ReportServer) -> None:
    """A job whose pods have these launchers."""
    space.create("digits", nodes=len(launchers))
    space.created("digits", len(launchers))
    for index, launcher in enumerate(launchers):
        space.run(f"digits-{index}", f"node-{index}", launcher.ip)
    space.when("digits", phase="Running")


def test_how_far_it_is_and_what_came_of_it(space: Namespace, first: ReportServer) -> None:
    progress = {"step": 41, "steps": 100, "samplesPerSecond": 12345.678, "loss": 0.123456789}
    first.tell(stage="train", progress=progress, checkpoint=CHECKPOINT)
    run(space, first)
    status = until("progress is told", lambda: _with(space, "progress"))
    assert status["progress"]["step"] == 41
    assert status["progress"]["steps"] == 100
    assert status["progress"]["samplesPerSecond"] == 12350
    assert status["progress"]["loss"] == 0.1235
    assert status["checkpoint"] == CHECKPOINT
    space.end("digits-0", 0, document(model=MODEL, checkpoint=CHECKPOINT, progress={"step": 100, "steps": 100}))
    status = space.when("digits", phase="Complete")
    assert status["model"] == MODEL
    assert status["progress"]["step"] == 100
    assert status["message"] == "The model is at s3://bucket/runs/digits/model"


def test_a_node_that_waits_for_others_is_told(space: Namespace, first: ReportServer) -> None:
    first.tell(stage="train", waiting="for node 1 of 2")
    run(space, first)
    assert space.when("digits", reason="WaitingForNodes")["message"] == "digits-0 waits for node 1 of 2"
    first.tell(stage="train", progress={"step": 1})
    space.when("digits", reason="Running")


def test_the_culprit_of_a_restart_in_place_is_found_among_peers(
    space: Namespace, first: ReportServer, second: ReportServer
) -> None:
    second.tell(stage="train", restarts=1, fault=CULPRIT)
    first.tell(stage="train", progress={"step": 41})
    run(space, first, second)
    until("progress is told", lambda: _with(space, "progress"))
    assert second.asked == 0  # nothing is wrong: node 0 alone is asked
    first.tell(stage="train", restarts=1, fault=PEER_LOST)
    status = space.when("digits", reason="LossNotFinite")
    assert status["phase"] == "Running"
    assert status["message"].startswith("digits-1 on node-1, rank 1: The loss is NaN at step 41. restart 1 of ")
    assert status["restarts"]["user"] == 1
    assert status["restarts"]["lastCause"] == "LossNotFinite"
    assert status["restarts"]["attempt"] == 0  # no pod was made anew
    assert status["progress"]["step"] == 41  # what was said last is kept
    first.tell(stage="train", restarts=1, fault=PEER_LOST, progress={"step": 42})
    status = space.when("digits", reason="Running")
    assert status["restarts"]["user"] == 1


def test_restarts_in_place_and_of_pods_are_counted_together(space: Namespace, first: ReportServer) -> None:
    first.tell(stage="train", restarts=2, fault=CULPRIT, progress={"step": 3})
    run(space, first)
    until("both are counted", lambda: space.status("digits")["restarts"]["user"] == 2)
    space.end("digits-0", 137, reason="OOMKilled")
    space.when("digits", reason="OutOfMemory")
    pods = until("it is made anew", lambda: _pending(space))
    environment = {each["name"]: each.get("value") for each in pods["digits-0"]["spec"]["containers"][0]["env"]}
    assert environment["TRAINYARD_RESTARTS"] == "3"
    assert space.status("digits")["restarts"]["user"] == 3


def _with(space: Namespace, field: str) -> Any:
    status = space.status("digits")
    return status if field in status else None


def _pending(space: Namespace) -> Any:
    pods = space.pods("digits")
    return pods if any(pod["status"]["phase"] == "Pending" for pod in pods.values()) else None
