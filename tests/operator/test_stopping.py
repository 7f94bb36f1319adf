"""What is to stop does stop: on nodes that fall silent, and whatever deadlines pods have of their own. Pure."""

from support.any_history import running
from trainyard_operator.actions import EndPod
from trainyard_operator.api import PODS


def test_a_node_that_falls_silent_while_its_pod_stops_is_given_up() -> None:
    cluster = running()
    cluster.change_spec(suspend=True)
    cluster.settle()
    cluster.remove(PODS, "digits-0")
    cluster.silence("node-1", True)
    cluster.settle()
    _, _, todo = cluster.decide()
    assert todo.again == 30
    cluster.pass_time(30)
    assert cluster.settle().phase == "Suspended"


def test_a_pod_that_ended_while_it_was_deleted_is_given_up_too() -> None:
    cluster = running()
    cluster.change_spec(suspend=True)
    cluster.settle()
    cluster.end("digits-1", 143)
    cluster.remove(PODS, "digits-0")
    cluster.silence("node-1", True)
    cluster.pass_time(30)
    assert cluster.settle().phase == "Suspended"


def test_a_silent_node_keeps_no_pod_of_a_job_that_has_ended() -> None:
    cluster = running()
    cluster.end("digits-0", 2)
    cluster.silence("node-1", True)
    assert cluster.settle().phase == "Failed"
    _, _, todo = cluster.decide()
    assert todo.again == 30
    cluster.pass_time(30)
    cluster.settle()
    assert [pod["metadata"]["name"] for pod in cluster.pods] == ["digits-0"]  # what has ended stays, with its log


def test_when_its_time_is_over_a_silent_node_keeps_no_pod() -> None:
    cluster = running(ttlSecondsAfterFinished=10)
    cluster.end("digits-0", 2)
    cluster.silence("node-1", True)
    cluster.settle()
    cluster.pass_time(10)
    cluster.settle()
    _, _, todo = cluster.decide()
    assert todo.again == 20
    cluster.pass_time(20)
    cluster.settle()
    assert not cluster.pods


def test_a_deadline_of_the_pods_own_does_not_keep_it_running() -> None:
    cluster = running()
    cluster.change_pod(cluster.objects[PODS, "digits-1"], spec={"activeDeadlineSeconds": 86400})
    cluster.pass_time(7)
    cluster.end("digits-0", 2)
    cluster.settle()
    assert cluster.objects[PODS, "digits-1"]["spec"]["activeDeadlineSeconds"] == 7


def test_a_pod_is_ended_by_its_uid() -> None:
    cluster = running()
    cluster.end("digits-0", 2)
    _, _, todo = cluster.decide()
    assert todo.actions == [EndPod("digits-1", cluster.objects[PODS, "digits-1"]["metadata"]["uid"], 1)]
