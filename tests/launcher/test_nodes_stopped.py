"""Nodes are told to stop, come, and go: every stop is behind a checkpoint, and who stays goes on."""

import os
import signal
from pathlib import Path

import pytest

from support.launched import wait_until
from support.nodes import STEPS, NodeProcess, begins, program_on, weights


def under_way(node: NodeProcess, steps: int = 30) -> None:
    wait_until(lambda: node.step() > steps, f"more than {steps} steps are done", seconds=180)


def written(path: Path) -> int:
    return path.stat().st_mtime_ns


def test_all_stop_behind_one_checkpoint_and_go_on_from_it(tmp_path: Path) -> None:
    with program_on(tmp_path, 2, checkpoint={"everySteps": 1000}) as nodes:
        started = [nodes.start(0), nodes.start(1)]
        under_way(started[0])
        for node in started:
            os.kill(node.process.pid, signal.SIGTERM)
        assert [node.ended() for node in started] == [143, 143]
        report = started[0].termination()
        assert report.checkpoint is not None
        assert report.checkpoint.step > 30
        assert report.fault is None
        assert len(list((nodes.run_folder / "checkpoints").glob("step-*"))) == 1
        for node in started:  # storage may be slow, and the time is short: how it ended is said before logs are copied
            copy = nodes.run_folder / "logs" / "00001" / f"script-rank-{node.index:05d}.log"
            assert written(node.folder / "termination") <= written(copy)
        resumed = [nodes.start(0), nodes.start(1)]
        assert [node.ended() for node in resumed] == [0, 0]
        assert begins(resumed[0]) == [(report.checkpoint.step, 2)]
        assert weights(resumed[0]) == pytest.approx([1.0] * 4, abs=0.01)


@pytest.mark.parametrize("index", [0, 1])
def test_a_node_that_is_told_to_go_leaves_a_checkpoint_to_its_replacement(index: int, tmp_path: Path) -> None:
    with program_on(tmp_path, 2, checkpoint={"everySteps": 1000}, recovery={"maxRestarts": 0}) as nodes:
        started = [nodes.start(0), nodes.start(1)]
        under_way(started[0])
        os.kill(started[index].process.pid, signal.SIGTERM)
        assert started[index].ended() == 143
        started[index] = nodes.start(index)
        assert [node.ended() for node in started] == [0, 0]
        assert begins(started[0])[-1][0] > 30
        assert [node.termination().restarts for node in started] == [0, 0]
        assert nodes.attempts() == 2


def test_an_elastic_job_shrinks_and_grows_without_losing_a_step(tmp_path: Path) -> None:
    elastic = {"minNodes": 1, "maxNodes": 2}
    settings = {"checkpoint": {"everySteps": 1000}, "recovery": {"maxRestarts": 0}}
    with program_on(tmp_path, 2, elastic=elastic, **settings) as nodes:
        started = [nodes.start(0), nodes.start(1)]
        under_way(started[0])
        os.kill(started[1].process.pid, signal.SIGTERM)
        assert started[1].ended() == 143
        wait_until(lambda: len(begins(started[0])) == 2, "node 0 goes on alone")
        under_way(started[0], begins(started[0])[1][0] + 30)
        started[1] = nodes.start(1)
        assert [node.ended() for node in started] == [0, 0]
        steps, worlds = zip(*begins(started[0]), strict=True)
        assert worlds == (2, 1, 2)
        assert 0 < steps[1] < steps[2] < STEPS
        assert weights(started[0]) == pytest.approx([1.0] * 4, abs=0.01)
        assert started[0].termination().restarts == 0
        assert nodes.attempts() == 3


def test_a_node_waits_for_a_name_that_comes_late(tmp_path: Path) -> None:
    """The resolver of node 1 is the test's: it knows the name once the test has written it down."""
    (tmp_path / "resolver").mkdir()
    (tmp_path / "resolver" / "sitecustomize.py").write_text(f"""
import pathlib, socket
real = socket.getaddrinfo
def late(host, *rest, **more):
    names = pathlib.Path({str(tmp_path / "names")!r})
    if host == "job-0.tj-job":
        if not names.exists():
            raise socket.gaierror(-2, "Name or service not known")
        host = names.read_text()
    return real(host, *rest, **more)
socket.getaddrinfo = late
""")
    with program_on(tmp_path, 2) as nodes:
        late = nodes.start(1, TRAINYARD_RENDEZVOUS_HOST="job-0.tj-job", PYTHONPATH=str(tmp_path / "resolver"))
        said = "node 0 (job-0.tj-job), which has a name that doesn't resolve yet"
        wait_until(lambda: late.reported().waiting == said, "it says what it waits for")
        first = nodes.start(0)
        wait_until(lambda: first.reported().waiting == "node 1 of 2", "node 0 waits for it")
        (tmp_path / "names").write_text(nodes.address)
        assert [first.ended(), late.ended()] == [0, 0]
        assert nodes.attempts() == 1
