"""When a job is over, and what becomes of its pods then. Pure: no cluster."""

from support.any_history import Cluster


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


def running() -> Cluster:
    """A job whose two nodes run."""
    cluster = Cluster()
    cluster.settle()
    for index in range(2):
        cluster.run(f"digits-{index}", f"node-{index}")
    assert cluster.settle().phase == "Running"
    return cluster
