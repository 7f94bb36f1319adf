"""Suspended and resumed, made smaller and larger, two side by side, a script: what people do with jobs."""

from harness.product import Team, until

LONG = {"epochs": 2000, "checkpoint": {"everySteps": 20, "keep": 2}}
NEVER = {"epochs": 2000, "checkpoint": {"everySteps": 1000000, "keep": 2}}
_SCRIPT = """
import torch, torch.distributed as dist
dist.init_process_group("gloo")
total = torch.ones(1)
dist.all_reduce(total)
print(f"{int(total)} ranks")
dist.destroy_process_group()
"""


def test_suspended_and_resumed_from_its_checkpoint(team: Team) -> None:
    team.apply(team.digits("digits", **NEVER))
    step = team.stepping("digits", beyond=30)
    team.patch("digits", suspend=True)
    status = team.when("digits", phase="Suspended")
    assert not team.pods("digits")
    written = status["checkpoint"]["step"]
    assert written >= step, "a checkpoint was written when it was suspended"
    team.patch("digits", suspend=False)
    assert team.stepping("digits") > written
    assert team.status("digits")["restarts"]["infrastructure"] == 0


def test_elastic_from_two_to_one_to_two(team: Team) -> None:
    elastic = {"minNodes": 1, "maxNodes": 2, "shrinkAfterSeconds": 5}
    team.apply(team.digits("digits", **LONG, elastic=elastic))
    step = team.stepping("digits", beyond=20)
    team.patch("digits", nodes=1)
    team.when("digits", phase="Running", nodes=1)
    step = team.stepping("digits", beyond=step + 20)
    team.patch("digits", nodes=2)
    team.when("digits", phase="Running", nodes=2)
    team.stepping("digits", beyond=step + 20)
    status = team.status("digits")
    assert (status["restarts"]["user"], status["restarts"]["infrastructure"]) == (0, 0)


def test_two_jobs_side_by_side(team: Team) -> None:
    for name in ("one", "other"):
        team.apply(team.digits(name))
    uris = {team.when(name, phase="Complete")["model"]["uri"] for name in ("one", "other")}
    assert len(uris) == 2


def test_a_script_of_ones_own_runs_on_all_nodes(team: Team) -> None:
    team.script("ranks", _SCRIPT)
    job = team.digits("script")
    del job["spec"]["recipe"]
    job["spec"]["script"] = {"command": ["train.py"], "source": f"{team.bucket}/code/ranks.tar.gz"}
    team.apply(job)
    team.when("script", phase="Complete")
    log = team.cluster.kubectl("-n", team.namespace, "logs", "script-0")
    assert "2 ranks" in log


def test_applying_the_same_file_again_changes_nothing(team: Team) -> None:
    job = team.digits("digits", suspend=True)
    team.apply(job)
    team.when("digits", phase="Suspended")
    before = team.cluster.get("-n", team.namespace, "trainingjob", "digits")["metadata"]["resourceVersion"]
    team.apply(job)
    after = team.cluster.get("-n", team.namespace, "trainingjob", "digits")["metadata"]["resourceVersion"]
    assert before == after


def test_kubectl_can_wait_for_it(team: Team) -> None:
    team.apply(team.digits("digits", epochs=1))
    wait = ("-n", team.namespace, "wait", "--for=condition=Complete", "trainingjob/digits", "--timeout=240s")
    assert "condition met" in team.cluster.kubectl(*wait)
    until("it says so", lambda: team.status("digits"), lambda it: it.get("phase") == "Complete")
