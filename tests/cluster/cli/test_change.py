"""`trainyard suspend`, `resume`, `delete` and `wait`."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.commands import TRAINYARD, plain
from support.launched import end_of, wait_until
from support.team import Team


@contextmanager
def waiting(team: Team, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`trainyard wait` as a process."""
    process = subprocess.Popen(
        [TRAINYARD, "wait", *arguments],
        env={**os.environ, "KUBECONFIG": str(team.config)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_suspend_and_resume(team: Team) -> None:
    team.job("j")
    team.status("j", "Running")
    done = team.command("suspend", "j")
    assert done.stdout == "j stops after a checkpoint. Go on with: trainyard resume j\n", done.stderr
    assert team.get("j")["spec"]["suspend"] is True
    before = team.get("j")["metadata"]["resourceVersion"]
    assert team.command("suspend", "j").stdout == "j is suspended already\n"
    assert team.get("j")["metadata"]["resourceVersion"] == before
    named = ("-n", team.namespace, "--kubeconfig", str(team.config))
    done = team.command("resume", "j", *named)
    expected = f"j goes on from its newest checkpoint. See: trainyard status j {' '.join(named)}\n"
    assert done.stdout == expected, "what is printed can be pasted"
    assert team.get("j")["spec"]["suspend"] is False
    assert team.command("resume", "j").stdout == "j is not suspended already\n"


def test_a_job_that_has_ended_is_not_suspended(team: Team) -> None:
    team.job("j")
    team.status("j", "Failed", "UserError")
    plain(team.command("suspend", "j"), 2, "j has ended (Failed): there is nothing to suspend")


def test_delete_says_what_stays(team: Team) -> None:
    team.job("j", {"storage": {"uri": "s3://bucket/p/"}, "script": {"command": ["/t.py"]}})
    done = team.command("delete", "j")
    expected = f"j is deleted, and its pods with it. What it has stored stays: s3://bucket/p/{team.namespace}/j\n"
    assert done.stdout == expected, done.stderr
    plain(team.command("delete", "j"), 2, "there is no TrainingJob j")


def test_what_stays_by_the_checkpoint(team: Team) -> None:
    """The storage of its runtime may have changed meanwhile: what the job has written tells the truth."""
    team.job("j")
    uri = f"s3://real/q/{team.namespace}/j/0123456789ab/checkpoints/step-00000001"
    team.status("j", "Running", checkpoint={"uri": uri, "step": 1, "time": "2026-01-02T03:04:05Z"})
    assert f"What it has stored stays: s3://real/q/{team.namespace}/j\n" in team.command("delete", "j").stdout


def test_wait_until_complete(team: Team) -> None:
    team.job("j")
    with waiting(team, "j") as process:
        team.status("j", "Running")
        team.status("j", "Complete", "Completed", "the model is published")
        ended = end_of(process)
    assert (ended.code, ended.out, ended.err) == (0, "j: Complete, Completed: the model is published\n", "")


def test_a_failed_job_is_not_waited_for(team: Team) -> None:
    team.job("j")
    with waiting(team, "j", "--timeout", "2h") as process:
        team.status("j", "Failed", "UserError", "rank 1: ValueError: no")
        ended = end_of(process)
    assert (ended.code, ended.out, ended.err) == (1, "", "j: Failed, UserError: rank 1: ValueError: no\n")


@pytest.mark.parametrize(
    ("goal", "phase", "code"),
    [
        ("running", "Running", 0),
        ("running", "Complete", 0),
        ("running", "Failed", 1),
        ("suspended", "Suspended", 0),
        ("suspended", "Complete", 1),
        ("complete", "Complete", 0),
    ],
)
def test_goals_reached_already(team: Team, goal: str, phase: str, code: int) -> None:
    team.job("j")
    team.status("j", phase)
    assert team.command("wait", "j", "--for", goal, "--timeout", "60s").returncode == code


def test_an_old_status_is_no_answer(team: Team) -> None:
    """Resumed, but the operator hasn't seen it: it is not still Suspended."""
    team.job("j")
    team.command("suspend", "j")
    team.status("j", "Suspended")
    team.command("resume", "j")
    done = team.command("wait", "j", "--for", "suspended", "--timeout", "1")
    assert done.returncode == 1
    assert done.stderr.startswith("j isn't suspended after 1 s; Suspended")


def test_time_is_over(team: Team) -> None:
    team.job("j")
    team.status("j", "Pending", "Unschedulable", "no node has a GPU")
    done = team.command("wait", "j", "--timeout", "1s")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "j isn't complete after 1 s; Pending, Unschedulable: no node has a GPU\n  see: trainyard status j\n"
    )


def test_deleted(team: Team) -> None:
    team.job("j")
    team.job("other")
    with waiting(team, "j", "--for", "deleted") as process:
        team.delete("j")
        ended = end_of(process)
    assert (ended.code, ended.out) == (0, "j is deleted\n")
    with waiting(team, "other", "--for", "complete") as process:
        team.delete("other")
        assert end_of(process).code in (1, 2), "gone while it was waited for, or before"


def test_ctrl_c_is_clean(team: Team) -> None:
    team.job("j")
    with waiting(team, "j") as process:
        wait_until(lambda: _is_connected(process), "it watches")
        process.send_signal(signal.SIGINT)
        ended = end_of(process)
    assert (ended.code, ended.out, ended.err) == (130, "", "")


def _is_connected(process: subprocess.Popen[str]) -> bool:
    try:
        files = [str(file.readlink()) for file in Path(f"/proc/{process.pid}/fd").iterdir()]
    except FileNotFoundError:  # one was closed while we looked
        return False
    return any(file.startswith("socket:") for file in files)
