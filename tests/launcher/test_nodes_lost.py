"""Ranks and nodes are lost: only what is lost is replaced, the others go on from the last checkpoint with them."""

import os
import signal
from pathlib import Path

import pytest

from support.launched import wait_until
from support.nodes import STEPS, NodeProcess, Nodes, begins, nodes_of, program_on, script, weights


def under_way(node: NodeProcess, steps: int = 30) -> int:
    wait_until(lambda: node.step() > steps, f"more than {steps} steps are done", seconds=180)
    return node.step()


def to_the_end(nodes: Nodes, *alive: NodeProcess) -> None:
    """Those alive come to a good end, with what a job left alone would have learnt."""
    assert [node.ended() for node in alive] == [0] * len(alive)
    assert weights(alive[0]) == pytest.approx([1.0] * 4, abs=0.01)
    report = alive[0].termination()
    assert report.progress is not None
    assert report.progress.step == STEPS
    assert report.checkpoint is not None
    assert report.checkpoint.step == STEPS
    assert report.fault is None


@pytest.mark.parametrize("end", ["raise ValueError('no')", "sys.exit(0)"])
def test_a_node_that_is_alone_and_was_replaced_takes_nothing_back(end: str, tmp_path: Path) -> None:
    """Its own node's kubelet can't be reached: the pod goes on though it is deleted. Its successor has begun."""
    program = f"""
        import os, sys
        from pathlib import Path
        attempts = Path(os.environ["TRAINYARD_RUN"].removeprefix("file://"), "attempts")
        (attempts / "00002").write_text("{{}}")
        {end}
    """
    with nodes_of(tmp_path, 1, script=script(tmp_path, program), recovery={"maxRestarts": 3}) as nodes:
        node = nodes.start(0)
        assert node.ended() == 3
        fault = node.termination().fault
        assert fault is not None
        assert fault.cause == "Fenced"
        assert nodes.attempts() == 2
        assert not (nodes.run_folder / "FINISHED.json").exists()


@pytest.mark.parametrize("index", [0, 1])
def test_a_killed_rank_is_restarted_in_place_and_counted_once(index: int, tmp_path: Path) -> None:
    with program_on(tmp_path, 2, recovery={"maxRestarts": 1}) as nodes:
        started = [nodes.start(0), nodes.start(1)]
        under_way(started[0])
        os.kill(started[index].rank(), signal.SIGKILL)
        to_the_end(nodes, *started)
        assert f"Rank {index} was killed from outside (SIGKILL)" in started[index].log()
        assert [node.termination().restarts for node in started] == [1, 1]
        assert nodes.attempts() == 2
        assert begins(started[0])[-1][0] >= 20


@pytest.mark.parametrize("index", [0, 1])
def test_restarts_that_the_operator_has_counted_are_used_up_on_every_node(index: int, tmp_path: Path) -> None:
    """It counted one, and made node `index` anew for it; the other went on."""
    program = """
        import os, time
        if os.environ["RANK"] == "0":
            raise ValueError("no")
        time.sleep(600)
    """
    with nodes_of(tmp_path, 2, script=script(tmp_path, program), recovery={"maxRestarts": 1}) as nodes:
        counts = {index: "1", 1 - index: "0"}
        started = [nodes.start(node, TRAINYARD_RESTARTS=counts[node]) for node in (0, 1)]
        wait_until(lambda: started[1].reported().restarts == 1, "node 1 knows of it")
        assert started[0].ended() == 1
        assert nodes.attempts() == 1
        assert started[0].termination().restarts == 1


@pytest.mark.parametrize("index", [0, 1])
def test_a_lost_node_is_replaced_and_the_other_stays(index: int, tmp_path: Path) -> None:
    with program_on(tmp_path, 2, recovery={"maxRestarts": 0}) as nodes:
        started = [nodes.start(0), nodes.start(1)]
        under_way(started[0])
        started[index].vanish()
        started[index] = nodes.start(index)
        to_the_end(nodes, *started)
        assert [node.termination().restarts for node in started] == [0, 0]
        assert nodes.attempts() == 2
        assert begins(started[0])[-1][0] >= 20


def test_a_frozen_node_is_replaced_and_may_not_come_back(tmp_path: Path) -> None:
    with program_on(tmp_path, 2, recovery={"maxRestarts": 0}) as nodes:
        started = [nodes.start(0), nodes.start(1)]
        under_way(started[0])
        frozen = started[1]
        frozen.signal(signal.SIGSTOP)
        started[1] = nodes.start(1)
        to_the_end(nodes, *started)
        assert nodes.attempts() == 2


def test_a_thawed_node_ends_when_its_place_is_taken(tmp_path: Path) -> None:
    with program_on(tmp_path, 2, recovery={"maxRestarts": 0}) as nodes:
        started = [nodes.start(0), nodes.start(1)]
        under_way(started[0])
        frozen = started[1]
        frozen.signal(signal.SIGSTOP)
        started[1] = nodes.start(1)
        wait_until(lambda: len(begins(started[1])) == 1, "the new one takes part", seconds=120)
        frozen.signal(signal.SIGCONT)
        assert frozen.ended() == 3
        fault = frozen.termination().fault
        assert fault is not None
        assert fault.cause == "Fenced"
        to_the_end(nodes, *started)
        assert nodes.attempts() == 2


def test_a_silent_node_stops_the_others_who_wait_for_it(tmp_path: Path) -> None:
    with program_on(tmp_path, 2, recovery={"maxRestarts": 0, "nodeLossSeconds": 2}) as nodes:
        started = [nodes.start(0), nodes.start(1)]
        under_way(started[0])
        started[1].signal(signal.SIGSTOP)
        wait_until(lambda: "node 1 of 2" in started[0].reported().waiting, "node 0 waits for node 1")
        started[1].signal(signal.SIGCONT)
        to_the_end(nodes, *started)


def test_nodes_that_cannot_reach_each_other_say_so_and_try_again(tmp_path: Path) -> None:
    """To node 1 the port of the ranks' store is closed until the test opens it."""
    (tmp_path / "network").mkdir()
    (tmp_path / "network" / "sitecustomize.py").write_text(f"""
import dataclasses, os, pathlib
from trainyard_launcher import torchrun
from trainyard_launcher.gang import muster
muster.LATE_SECONDS, muster.MOST_SECONDS = 1.0, 20.0
real = torchrun._in_place
def in_place(place):
    closed = place.rank == 1 and not pathlib.Path({str(tmp_path / "open")!r}).exists()
    return real(dataclasses.replace(place, port=1) if closed else place)
torchrun._in_place = in_place
""")
    with program_on(tmp_path, 2, recovery={"maxRestarts": 0}) as nodes:
        started = [nodes.start(index, PYTHONPATH=str(tmp_path / "network")) for index in (0, 1)]
        place = f"the nodes to reach each other at {nodes.address}:"
        wait_until(lambda: place in started[0].reported().waiting, "node 0 says what it waits for")
        (tmp_path / "open").touch()
        to_the_end(nodes, *started)
        assert f"The nodes can't reach each other at {nodes.address}:" in started[0].log()
        assert nodes.attempts() >= 2
