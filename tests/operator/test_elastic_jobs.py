"""An elastic job knows its nodes apart: which take part, which give way, and that nothing goes without node 0. Pure."""

from support.any_history import Cluster, running
from trainyard_operator.api import PODS


def test_without_node_0_it_does_not_run_however_many_others_do() -> None:
    cluster = without_node_0()
    cluster.pass_time(60)
    _, status, _ = cluster.decide()
    assert status.phase == "Restarting"
    assert status.message.startswith("1 of 1 nodes run; digits-0: no GPU, others make room for it")
    assert {each.type: each.status for each in status.conditions}["Running"] == "False"


def test_the_highest_makes_room_for_node_0_and_comes_back_after_it() -> None:
    cluster = without_node_0()
    _, _, todo = cluster.decide()
    assert todo.again == 60
    cluster.pass_time(60)
    cluster.settle()
    assert "deletionTimestamp" in pod(cluster, "digits-1")["metadata"]
    cluster.end("digits-1", 143)
    cluster.settle()
    cluster.remove(PODS, "digits-1")
    cluster.settle()
    assert names(cluster) == ["digits-0"]  # what has made room doesn't ask for it again
    cluster.run("digits-0", "node-1")
    cluster.settle()
    assert names(cluster) == ["digits-0", "digits-1"]
    cluster.find_no_room("digits-1")
    cluster.settle()
    cluster.pass_time(60)
    assert cluster.settle().phase == "Running"
    assert cluster.settle().restarts.infrastructure == 1


def test_no_more_give_way_than_has_been_waited_for() -> None:
    cluster = without_node_0(nodes=3)
    cluster.pass_time(60)
    cluster.settle()
    cluster.remove(PODS, "digits-2")
    cluster.settle()
    assert names(cluster) == ["digits-0", "digits-1"]
    assert "deletionTimestamp" not in pod(cluster, "digits-1")["metadata"]
    _, _, todo = cluster.decide()
    assert todo.again == 60
    cluster.pass_time(60)
    cluster.settle()
    assert "deletionTimestamp" in pod(cluster, "digits-1")["metadata"]


def test_nobody_gives_way_where_too_few_would_be_left() -> None:
    cluster = without_node_0(elastic={"minNodes": 2, "maxNodes": 3})
    cluster.pass_time(600)
    cluster.settle()
    assert "deletionTimestamp" not in pod(cluster, "digits-1")["metadata"]


def test_a_node_above_a_hole_takes_part() -> None:
    for leave in (leaves, vanishes):
        cluster = with_a_hole()
        leave(cluster, "digits-2")
        status = cluster.settle()
        assert (status.phase, status.restarts.last_cause) == ("Restarting", "PodDeleted")


def test_a_node_that_never_came_costs_no_restart_when_it_goes() -> None:
    for leave in (leaves, vanishes):
        cluster = with_a_hole()
        leave(cluster, "digits-1")
        status = cluster.settle()
        assert (status.phase, status.restarts.infrastructure) == ("Running", 0)


def without_node_0(nodes: int = 2, **spec: object) -> Cluster:
    """Its machine is lost, and there is no room for it elsewhere."""
    cluster = running(nodes, **spec)
    cluster.remove(PODS, "digits-0")
    assert cluster.settle().phase == "Restarting"
    cluster.find_no_room("digits-0")
    cluster.settle()
    return cluster


def with_a_hole() -> Cluster:
    """A job of three nodes that runs without node 1."""
    cluster = Cluster()
    cluster.change_spec(nodes=3)
    cluster.settle()
    cluster.find_no_room("digits-1")
    for index in (0, 2):
        cluster.run(f"digits-{index}", f"node-{index}")
    cluster.settle()
    cluster.pass_time(60)
    status = cluster.settle()
    assert (status.phase, status.nodes) == ("Running", 2)
    return cluster


def leaves(cluster: Cluster, name: str) -> None:
    cluster.change_pod(pod(cluster, name), {"deletionTimestamp": "2026-11-25T08:01:00Z"})


def vanishes(cluster: Cluster, name: str) -> None:
    cluster.remove(PODS, name)


def names(cluster: Cluster) -> list[str]:
    return [each["metadata"]["name"] for each in cluster.pods]


def pod(cluster: Cluster, name: str) -> dict[str, dict[str, object]]:
    return cluster.objects[PODS, name]
