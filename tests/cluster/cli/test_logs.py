"""`trainyard logs`, read through a real API server from a node that the test speaks for."""

import os
import re
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from support.commands import TRAINYARD, plain
from support.kubelet import Kubelet
from support.launched import wait_until
from support.s3_server import S3Server
from support.team import Team
from trainyard_storage import open_store

TWO_NODES = {"nodes": 2, "template": {"image": "example.org/t:1"}, "script": {"command": ["/t.py"]}}
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Follower:
    """`trainyard logs -f` as a process, and the lines it has printed."""

    def __init__(self, team: Team, *arguments: str) -> None:
        environment = {**os.environ, "KUBECONFIG": str(team.config)}
        self.process = subprocess.Popen(
            [TRAINYARD, "logs", "-f", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in iter(self.process.stdout.readline, ""):
            self.lines.append(line.rstrip("\n"))

    def sees(self, line: str) -> None:
        wait_until(lambda: line in self.lines or self.process.poll() is not None, f"{line!r} is printed")
        assert line in self.lines, self.process.stderr.read() if self.process.stderr else ""

    def has(self, count: int) -> None:
        """So many lines have come, or more."""
        wait_until(lambda: len(self.lines) >= count, f"{count} lines have come")

    def end(self) -> tuple[int, str]:
        """Exit code and what was said on standard error."""
        code = self.process.wait(60)
        self._reader.join(60)
        assert self.process.stderr is not None
        return code, self.process.stderr.read()


@contextmanager
def following(team: Team, *arguments: str) -> Iterator[Follower]:
    follower = Follower(team, *arguments)
    try:
        yield follower
    finally:
        follower.process.kill()
        follower.process.wait()


def runs(team: Team, node: Kubelet, job: str, index: int = 0, attempt: int = 0) -> str:
    """A pod that runs, and its key at the node."""
    pod = team.pod(job, index, node.node, attempt)
    node.prints(pod)
    team.pod_runs(pod)
    return pod


def test_all_nodes_in_the_order_of_time(team: Team, node: Kubelet) -> None:
    team.job("sorted", TWO_NODES)
    for index in (0, 1):
        pod = runs(team, node, "sorted", index)
        for second in range(3):
            at = START + timedelta(seconds=second, milliseconds=500 * index)
            node.prints(pod, f"[rank {index}] line {second}", at=at)
        node.ends(pod)
    expected = [f"[node {index}] [rank {index}] line {second}" for second in range(3) for index in (0, 1)]
    done = team.command("logs", "sorted")
    assert (done.returncode, done.stdout.splitlines()) == (0, expected), done.stderr
    only = team.command("logs", "sorted", "--node", "1").stdout.splitlines()
    assert only == [f"[node 1] [rank 1] line {second}" for second in range(3)]


def test_one_node_has_no_prefix(team: Team, node: Kubelet) -> None:
    team.job("single")
    node.prints(runs(team, node, "single"), "[rank 0] hello")
    assert team.command("logs", "single").stdout == "[rank 0] hello\n"


def test_followed_to_the_end_of_the_job(team: Team, node: Kubelet) -> None:
    team.job("follow", TWO_NODES)
    team.status("follow", "Starting")
    with following(team, "follow") as follower:
        first = runs(team, node, "follow", 0)
        node.prints(first, "one")
        follower.sees("[node 0] one")
        second = runs(team, node, "follow", 1)  # it comes later
        node.prints(second, "two")
        follower.sees("[node 1] two")
        for pod in (first, second):
            node.prints(pod, "last words")
            node.ends(pod)
            team.pod_ends(pod)
        team.status("follow", "Complete", "Completed", "the model is published")
        code, said = follower.end()
    assert code == 0
    assert Counter(follower.lines) == Counter(
        ["[node 0] one", "[node 1] two", "[node 0] last words", "[node 1] last words"]
    )
    assert said == "follow: Complete, Completed: the model is published\n"


@pytest.mark.parametrize("cuts", [1, 5])
def test_connections_that_break_lose_no_line_and_double_none(team: Team, node: Kubelet, cuts: int) -> None:
    """Many lines bear one time; some are equal to each other."""
    team.job(f"cut-{cuts}")
    team.status(f"cut-{cuts}", "Running")
    pod = runs(team, node, f"cut-{cuts}")
    printed: list[str] = []
    with following(team, f"cut-{cuts}") as follower:
        for part in range(cuts + 1):
            lines = [f"part {part} line {number // 2}" for number in range(200)]
            printed += lines
            node.prints(pod, *lines[:100], at=START + timedelta(milliseconds=300 * part))
            node.prints(pod, *lines[100:], at=START + timedelta(milliseconds=300 * part + 1))
            follower.has(len(printed))
            if part < cuts:
                node.cut()
        node.ends(pod)
        team.pod_ends(pod)
        team.status(f"cut-{cuts}", "Complete", "Completed")
        assert follower.end()[0] == 0
    assert follower.lines == printed
    assert sum("sinceTime" in request for request in node.requests if f"/cut-{cuts}-0/" in request) >= cuts


def test_lines_printed_while_the_connection_is_broken_come_later(team: Team, node: Kubelet) -> None:
    team.job("gap")
    team.status("gap", "Running")
    pod = runs(team, node, "gap")
    with following(team, "gap") as follower:
        node.prints(pod, "before")
        follower.sees("before")
        node.cut()
        node.prints(pod, *(f"meanwhile {number}" for number in range(50)))
        follower.sees("meanwhile 49")
        follower.process.send_signal(signal.SIGINT)
        code, said = follower.end()
    assert (code, said) == (130, "")
    assert follower.lines == ["before", *(f"meanwhile {number}" for number in range(50))]


def test_an_answer_that_is_cut_but_looks_whole(team: Team, node: Kubelet, monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens when the connection between API server and node breaks."""
    team.job("short")
    team.status("short", "Running")
    pod = runs(team, node, "short")
    lines = [f"line {number}" for number in range(100)]
    for number, line in enumerate(lines):
        node.prints(pod, line, at=START + timedelta(seconds=number))
    node.ends(pod)
    team.pod_ends(pod)
    monkeypatch.setattr(node, "most", 40)
    with following(team, "short") as follower:
        follower.has(len(lines))
        team.status("short", "Complete", "Completed")
        assert follower.end()[0] == 0
    assert follower.lines == lines


def test_a_replaced_pod_is_followed_on(team: Team, node: Kubelet) -> None:
    team.job("again")
    team.status("again", "Running")
    pod = runs(team, node, "again")
    with following(team, "again") as follower:
        node.prints(pod, "first life")
        follower.sees("first life")
        node.ends(pod)
        team.delete_pod(pod)
        team.status("again", "Restarting", "PodDeleted")
        wait_until(lambda: not node.is_followed(pod), "the old log is left")
        node.forgets(pod)
        runs(team, node, "again", attempt=1)
        node.prints(pod, "second life")
        follower.sees("second life")
        node.ends(pod)
        team.pod_ends(pod)
        team.status("again", "Complete", "Completed")
        assert follower.end()[0] == 0
    assert follower.lines == ["first life", "second life"]


def test_a_job_deleted_while_it_is_followed(team: Team, node: Kubelet) -> None:
    team.job("gone")
    team.status("gone", "Running")
    pod = runs(team, node, "gone")
    with following(team, "gone") as follower:
        node.prints(pod, "here")
        follower.sees("here")
        node.ends(pod)
        team.delete_pod(pod)
        team.delete("gone")
        code, said = follower.end()
    assert (code, said, follower.lines) == (0, "gone: Deleted\n", ["here"])


def test_why_there_are_no_logs_yet(team: Team) -> None:
    team.job("waits")
    team.pod_state(team.pod("waits"), {"waiting": {"reason": "ImagePullBackOff"}}, "Pending")
    team.status("waits", "Pending", "ImagePull", "no such image")
    done = team.command("logs", "waits")
    assert (done.returncode, done.stdout) == (0, "")
    assert (
        done.stderr == "There are no logs yet. waits: Pending, ImagePull: no such image\n  node 0: ImagePullBackOff\n"
    )


def test_logs_of_pods_that_are_gone_come_from_object_storage(team: Team, s3: S3Server) -> None:
    bucket = s3.bucket()
    run = open_store(f"{bucket}/p/{team.namespace}/kept/0123456789ab")
    run.put("logs/00001/train-rank-0.log", b"first attempt\n")
    run.put("logs/00002/train-rank-0.log", b"a\nb\n")
    run.put("logs/00002/train-rank-1.log", b"c\n")
    team.job("kept", {**TWO_NODES, "storage": {"uri": f"{bucket}/p", "endpoint": "http://only.in.the.cluster:9000"}})
    team.status("kept", "Complete", "Completed")
    for arguments in (["logs", "kept"], ["logs", "-f", "kept"]):
        done = team.command(*arguments)
        assert done.stdout == "[rank 0] first attempt\n[rank 0] a\n[rank 0] b\n[rank 1] c\n", done.stderr
    assert re.search(r"==> attempt 2, train-rank-1.log \(s3://", done.stderr)
    done = team.command("logs", "kept", "--node", "1")
    assert done.stdout.endswith("[rank 1] c\n")
    assert "by rank, not by node: not only node 1's follow" in done.stderr


def test_a_wrong_node(team: Team) -> None:
    team.job("j")
    plain(team.command("logs", "j", "--node", "-1"), 2, "--node")
