"""Whose silence is believed: a node's own word goes before a pod's, and not all are lost at once. Pure."""

from support.any_history import Cluster, running
from trainyard_operator.api import NODES


def test_a_node_that_comes_back_in_time_keeps_its_pod() -> None:
    cluster = running()
    cluster.silence("node-1", True)
    cluster.become_unready("digits-1")
    cluster.settle()
    cluster.pass_time(28)
    cluster.silence("node-1", False)
    cluster.pass_time(2)  # the kubelet mends the pod's condition some seconds after the node's
    assert cluster.settle().phase == "Running"


def test_where_nodes_cannot_be_seen_a_pods_condition_tells_of_their_silence() -> None:
    cluster = unseen()
    cluster.become_unready("digits-1")
    cluster.settle()
    cluster.pass_time(30)
    assert cluster.settle().restarts.last_cause == "NodeLost"


def test_a_readiness_gate_is_no_silence() -> None:
    cluster = unseen()
    cluster.become_unready("digits-1", "ReadinessGatesNotReady")
    cluster.settle()
    cluster.pass_time(30)
    assert cluster.settle().phase == "Running"


def test_when_most_nodes_fall_silent_at_once_nobody_is_given_up() -> None:
    cluster = running()
    for name in ("node-3", "node-4"):
        cluster.silence(name, False)
    for index in range(3):
        cluster.silence(f"node-{index}", True)
    cluster.pass_time(300)
    status = cluster.settle()
    assert status.phase == "Running"
    assert "nothing is heard of digits-0, digits-1, nor of most nodes of the cluster" in status.message
    _, _, todo = cluster.decide()
    assert todo.again == 30  # no event of this job's own will tell that it's over


def test_nodes_have_their_time_to_come_back_after_the_first_did() -> None:
    cluster = running()
    for index in range(3):
        cluster.silence(f"node-{index}", True)
    cluster.pass_time(300)
    cluster.silence("node-0", False)
    assert cluster.settle().phase == "Running"
    _, _, todo = cluster.decide()
    assert todo.again == 30
    cluster.pass_time(30)
    status = cluster.settle()
    assert (status.phase, status.restarts.last_cause) == ("Restarting", "NodeLost")


def test_a_cluster_of_one_node_has_nowhere_else_to_go() -> None:
    cluster = running()
    for index in (1, 2):
        cluster.remove(NODES, f"node-{index}")
    cluster.silence("node-0", True)
    cluster.pass_time(300)
    assert cluster.settle().phase == "Running"


def unseen() -> Cluster:
    """A running job of an operator that may not see nodes."""
    cluster = running()
    for index in range(3):
        cluster.remove(NODES, f"node-{index}")
    return cluster
