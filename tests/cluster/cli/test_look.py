"""`trainyard list` and `trainyard status`."""

import subprocess
import sys
from pathlib import Path

from support.commands import plain
from support.team import Team

PROGRESS = {
    "stage": "train",
    "epoch": 1,
    "epochs": 4,
    "step": 250,
    "steps": 1000,
    "samplesPerSecond": 1234.5,
    "loss": 0.25,
    "secondsLeft": 90,
}


def test_no_jobs(team: Team) -> None:
    done = team.command("list")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"There are no jobs in namespace {team.namespace}.\n"


def test_the_table_has_the_columns_of_kubectl(team: Team) -> None:
    team.job("b")
    team.job("a")
    team.status("a", "Running", progress=PROGRESS, nodesReady=2, restarts={"user": 1, "infrastructure": 0})
    done = team.command("list")
    head, first, second = done.stdout.splitlines()
    assert head.split() == ["NAME", "PHASE", "NODES", "EPOCH", "STEP", "OF", "LOSS", "RESTARTS", "REASON", "AGE"]
    assert first.split()[:9] == ["a", "Running", "2", "1", "250", "1000", "0.25", "1", "Running"]
    assert second.split()[0] == "b"
    everywhere = team.command("list", "-A").stdout
    assert everywhere.splitlines()[0].startswith("NAMESPACE")
    assert [line.split()[:2] for line in everywhere.splitlines() if line.startswith(team.namespace)] == [
        [team.namespace, "a"],
        [team.namespace, "b"],
    ]


def test_the_plugin_of_kubectl(team: Team) -> None:
    team.job("a")
    program = Path(sys.executable).with_name("kubectl-trainyard")
    command = [program, "list", "--kubeconfig", str(team.config)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1].split()[0] == "a"


def test_before_the_operator_has_seen_it(team: Team) -> None:
    team.job("fresh")
    said = team.command("status", "fresh").stdout
    assert said.startswith(f"{team.namespace}/fresh: Pending: the operator hasn't seen it yet")


def test_one_screen_says_how_it_goes(team: Team) -> None:
    team.job("digits", {"nodes": 2, "recovery": {"maxRestarts": 5}, "script": {"command": ["/t.py"]}})
    for index in (0, 1):
        team.pod_runs(team.pod("digits", index, attempt=1))
    team.status(
        "digits",
        "Running",
        message="training on 2 nodes",
        progress=PROGRESS,
        nodesReady=2,
        startTime="2026-01-02T03:04:05Z",
        restarts={"user": 1, "infrastructure": 2, "lastCause": "UserError", "lastTime": "2026-01-02T03:04:05Z"},
        checkpoint={
            "uri": "s3://b/p/team/digits/0123456789ab/checkpoints/step-00000200",
            "step": 200,
            "time": "2026-01-02T03:04:05Z",
        },
    )
    done = team.command("status", "digits")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) <= 24, "one screen"
    assert lines[0] == f"{team.namespace}/digits: Running: training on 2 nodes"
    assert "Progress    [#######-----------------------] 25%  epoch 2/4  step 250/1000  loss 0.2500" in done.stdout
    assert "1,234 samples/s  1:30 left" in done.stdout
    assert "Nodes       2 of 2 ready" in done.stdout
    assert "1 of 5 by the program, 2 by the machines; the last " in done.stdout
    assert "ago: UserError" in done.stdout
    assert "step 200, " in done.stdout
    rows = [line.split() for line in lines if line.startswith(("0 ", "1 "))]
    assert [row[:5] for row in rows] == [["0", "digits-0", "Running", "-", "1"], ["1", "digits-1", "Running", "-", "1"]]
    assert lines[-1] == "Next: follow it: `trainyard logs digits -f`"


def test_one_screen_says_why_it_waits(team: Team) -> None:
    job = team.job("big", {"nodes": 2, "script": {"command": ["/t.py"]}})
    team.pod_state(team.pod("big", 0), {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}, "Pending")
    name = team.pod("big", 1)
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    team.core.patch_namespaced_pod_status(name, team.namespace, {"status": {"conditions": [condition]}})
    pod = team.core.read_namespaced_pod(name, team.namespace)
    about = {"kind": "Pod", "metadata": {"name": name, "uid": pod.metadata.uid}}
    team.event(about, "FailedScheduling", "0/3 nodes are available:\n3 Insufficient nvidia.com/gpu.")
    team.event(job, "PodsCreated", "2 pods")
    team.event({"kind": "Pod", "metadata": {"name": "other", "uid": "another"}}, "Nothing", "of this job's")
    team.status("big", "Pending", "Unschedulable", "pod big-1 finds no node: 3 Insufficient nvidia.com/gpu")
    said = team.command("status", "big").stdout
    assert said.startswith(f"{team.namespace}/big: Pending (Unschedulable): pod big-1 finds no node")
    assert "ImagePullBackOff" in said
    assert [line.split()[2] for line in said.splitlines() if line.startswith("1 ")] == ["Unschedulable"]
    assert "FailedScheduling   big-1   0/3 nodes are available: 3 Insufficient nvidia.com/gpu." in said
    assert "PodsCreated" in said
    assert "another" not in said
    assert "Next: ask for less (spec.template.resources, nodes)" in said


def test_a_finished_job(team: Team) -> None:
    team.job("done")
    model = {"uri": "s3://b/p/t/done/0123456789ab/model/1", "digest": "x", "metrics": {"accuracy": 0.98765}}
    team.status("done", "Complete", "Completed", model=model, completionTime="2026-01-02T03:04:05Z", runningSeconds=300)
    said = team.command("status", "done").stdout
    assert "on the test split: accuracy 0.9877" in said
    assert "ran 5m" in said
    assert said.endswith("Next: ask the model: trainyard predict s3://b/p/t/done/0123456789ab/model/1\n")


def test_a_change_not_taken_up_yet_is_told(team: Team) -> None:
    team.job("j")
    team.status("j", "Running")
    team.command("suspend", "j")
    assert "(a change of the spec hasn't been taken up yet)" in team.command("status", "j").stdout


def test_nothing_that_a_pod_says_steers_the_terminal(team: Team) -> None:
    team.job("j")
    team.status("j", "Failed", "UserError", "rank 0: \x1b[2J\x1b]0;owned\x07 \u009b2J")
    said = team.command("status", "j").stdout
    assert "rank 0: ?[2J?]0;owned? ?2J" in said


def test_a_cause_that_no_table_knows(team: Team) -> None:
    team.job("j")
    team.status("j", "Failed", "LossNotFinite", "the loss is NaN at step 7")
    said = team.command("status", "j").stdout
    assert "Failed (LossNotFinite): the loss is NaN at step 7" in said
    assert "Next: mend what the message names, then `trainyard delete j`, and submit it anew; more in " in said


def test_a_misspelt_name(team: Team) -> None:
    team.job("digits")
    for command in ("status", "logs", "suspend", "resume", "delete", "wait"):
        plain(team.command(command, "digist"), 2, "there is no TrainingJob digist", "did you mean digits?")
    plain(team.command("status", "../../nodes"), 2, "there is no TrainingJob ../../nodes")
