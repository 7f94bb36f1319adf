"""A clock that is set back, or another replica's that is behind, holds nothing up. Pure: no cluster."""

from support.any_history import Cluster, running
from trainyard_operator.api import PODS


def test_running_time_never_falls() -> None:
    cluster = running()
    cluster.pass_time(100)
    cluster.change_pod(cluster.objects[PODS, "digits-1"], {"deletionTimestamp": "2026-11-25T08:00:00Z"})
    cluster.settle()
    cluster.remove(PODS, "digits-1")
    cluster.settle()
    cluster.run("digits-1", "node-1")
    assert cluster.settle().running_seconds == 100
    cluster.pass_time(-3600)
    cluster.end("digits-1", 137)
    assert cluster.settle().running_seconds == 100


def test_running_time_is_counted_from_the_time_that_the_clock_says_now() -> None:
    cluster = running()
    cluster.pass_time(-3600)
    cluster.settle()
    cluster.pass_time(3600)
    assert cluster.settle().reason == "DeadlineExceeded"


def test_pods_are_held_back_no_longer_than_they_would_be_anyway() -> None:
    cluster = running()
    for _ in range(2):
        cluster.run("digits-1", "node-1")
        cluster.settle()
        cluster.remove(PODS, "digits-1")
        cluster.settle()
    _, _, todo = cluster.decide()
    assert (len(cluster.pods), todo.again) == (1, 10)
    cluster.pass_time(-3600)
    cluster.settle()
    assert len(cluster.pods) == 2


def test_an_elastic_job_waits_for_a_missing_node_no_longer_than_it_is_told() -> None:
    cluster = Cluster()
    cluster.settle()
    cluster.run("digits-0", "node-0")
    cluster.find_no_room("digits-1")
    cluster.settle()
    cluster.pass_time(-3600)
    cluster.settle()
    cluster.pass_time(60)
    assert cluster.settle().phase == "Running"
