"""Wrong image, missing secret, denied bucket, an exception: each is said within 15 s, in plain words."""

import time

import pytest

from harness.product import Team

_SECONDS = 60.0  # the figure is printed; the test waits longer than the promise


def said(team: Team, reason: str, words: str) -> None:
    """The job `digits` has `reason`, with `words` in its message."""
    start = time.monotonic()
    status = team.when("digits", _SECONDS, reason=reason)
    print(f"{reason}: said after {time.monotonic() - start:.1f} s (target < 15): {status['message']}")
    assert words in status["message"]


def test_a_wrong_image(team: Team) -> None:
    team.apply(
        team.digits("digits", template={"image": "nowhere.example/nothing:1", "imagePullPolicy": "IfNotPresent"})
    )
    said(team, "ImagePull", "nowhere.example/nothing:1")


def test_a_missing_secret(team: Team) -> None:
    storage = {"uri": f"{team.bucket}/runs", "credentialsSecret": "nowhere"}
    team.apply(team.digits("digits", storage=storage))
    said(team, "MissingConfig", 'secret "nowhere" not found')


def test_a_missing_volume(team: Team) -> None:
    volumes = [{"name": "keys", "secret": {"secretName": "nowhere"}}]
    mounts = [{"name": "keys", "mountPath": "/keys"}]
    team.apply(team.digits("digits", template={"volumes": volumes, "volumeMounts": mounts}))
    said(team, "MissingConfig", 'secret "nowhere" not found')


def test_a_node_that_is_too_small(team: Team) -> None:
    team.apply(team.digits("digits", template={"resources": {"limits": {"nvidia.com/gpu": 8}}}, processesPerNode=1))
    said(team, "Unschedulable", "Insufficient nvidia.com/gpu")


def test_a_bucket_that_is_denied(team: Team) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing"}
    team.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "wrong"}, "stringData": keys})
    storage = {"uri": f"{team.bucket}/runs", "credentialsSecret": "wrong"}
    team.apply(team.digits("digits", storage=storage))
    team.when("digits", _SECONDS, phase="Failed")
    said(team, "StorageDenied", team.bucket.removeprefix("s3://"))


@pytest.mark.parametrize("nodes", [1, 2])
def test_an_exception_in_the_users_own_code(team: Team, nodes: int) -> None:
    team.script("broken", "raise ValueError('the seventh column is empty')\n")
    job = team.digits("digits", nodes=nodes, recovery={"maxRestarts": 0})
    del job["spec"]["recipe"]
    job["spec"]["script"] = {"command": ["train.py"], "source": f"{team.bucket}/code/broken.tar.gz"}
    team.apply(job)
    team.when("digits", phase="Failed")
    said(team, "UserError", "the seventh column is empty")
