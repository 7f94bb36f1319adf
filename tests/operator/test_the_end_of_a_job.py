"""When a job is over, and what becomes of its pods then. Pure: no cluster."""

import pytest

from support.any_history import Cluster, running
from trainyard_operator.api import JOBS, PODS
from trainyard_operator.plan import counts


def test_a_pod_that_never_ran_is_not_waited_for_once_node_0_is_done() -> None:
    cluster = Cluster()
    cluster.settle()
    cluster.find_no_room("digits-1")
    cluster.run("digits-0", "node-0")
    cluster.settle()
    cluster.pass_time(60)
    assert cluster.settle().phase == "Running"
    cluster.end("digits-0")
    assert cluster.settle().phase == "Complete"
    assert [pod["metadata"]["name"] for pod in cluster.pods] == ["digits-0"]


def test_nodes_that_do_not_end_are_ended_a_minute_after_node_0() -> None:
    cluster = running()
    cluster.end("digits-0")
    assert cluster.settle().message == "node 0 is done; digits-1 to end"
    _, _, todo = cluster.decide()
    assert todo.again == 60
    cluster.pass_time(60)
    assert cluster.settle().phase == "Complete"
    assert cluster.pods[1]["spec"]["activeDeadlineSeconds"] == 60  # ended, not deleted: its log stays


def test_the_deadline_holds_for_the_others_too_once_node_0_is_done() -> None:
    cluster = running()
    cluster.pass_time(3570)
    cluster.end("digits-0")
    assert cluster.settle().phase == "Running"
    cluster.pass_time(30)
    assert cluster.settle().phase == "Complete"


def test_an_end_is_read_beside_what_a_newer_operator_wrote() -> None:
    cluster = complete()
    write(cluster, newer=1, restarts={**cluster.job["status"]["restarts"], "newer": {"still": 1}})
    state, status, todo = cluster.decide()
    assert (state.final, status, todo.actions) == (True, state.status, [])


def test_what_somebody_makes_of_the_phase_starts_nothing_and_is_put_right() -> None:
    cluster = complete()
    write(cluster, phase="Running")
    assert cluster.settle().phase == "Complete"
    assert not cluster.pods


def test_a_phase_alone_is_no_end() -> None:
    cluster = running()
    write(cluster, phase="Complete")
    assert cluster.settle().phase == "Running"
    assert not any("activeDeadlineSeconds" in pod["spec"] for pod in cluster.pods)


def test_nothing_is_done_about_a_status_that_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    cluster = complete()
    write(cluster, progress={"stage": "a newer one"})
    for _ in range(2):
        state, status, todo = cluster.decide()
        assert (status, todo.actions, counts(status, state.status)) == (state.status, [], False)
    assert [record.getMessage()[:30] for record in caplog.records] == ["status.progress.stage can't be"]


def complete() -> Cluster:
    """A job that has ended, and whose pods somebody has deleted."""
    cluster = running()
    for index in (1, 0):
        cluster.end(f"digits-{index}")
    assert cluster.settle().phase == "Complete"
    for index in range(2):
        cluster.remove(PODS, f"digits-{index}")
    return cluster


def write(cluster: Cluster, **fields: object) -> None:
    """Change the status past the operator."""
    cluster.put(JOBS, {**cluster.job, "status": {**cluster.job["status"], **fields}})
