"""A rank, a pod, a node, the operator: what is lost is replaced, and training goes on from its last checkpoint.

Each prints how long it took until steps were made again.
"""

import time
from typing import Any

import pytest

from harness.docker import docker
from harness.places import NAMESPACE
from harness.product import SYSTEM, Team, until

LONG = {"epochs": 2000, "checkpoint": {"everySteps": 20, "keep": 2}}
_KILL_RANK = """
import os, pathlib, signal
ranks = [p for p in pathlib.Path("/proc").glob("[0-9]*/cmdline") if b"trainyard_launcher.rank" in p.read_bytes()]
ranks = [int(p.parent.name) for p in ranks if b"distributed" not in p.read_bytes()]
os.kill(max(ranks), signal.SIGKILL)
"""


def test_a_killed_rank_is_started_again_in_its_pod(team: Team) -> None:
    before = _under_way(team, "digits")
    killed = _now(team, lambda: team.python("digits-1", _KILL_RANK))
    again = _again(team, "digits", killed)
    print(f"rank killed -> stepping again: {again:.1f} s (target < 30)")
    status = until("the restart is counted", lambda: team.status("digits"), lambda it: it["restarts"]["user"] == 1)
    assert status["restarts"]["infrastructure"] == 0
    assert _uids(team, "digits") == before


def test_a_deleted_pod_is_replaced_and_its_peer_stays(team: Team) -> None:
    before = _under_way(team, "digits")
    delete = ("-n", team.namespace, "delete", "pod", "digits-1", "--wait=false", "--grace-period=1")
    killed = _now(team, lambda: team.cluster.kubectl(*delete))
    until(
        "it is replaced", lambda: _uids(team, "digits"), lambda it: it.get("digits-1") not in (None, before["digits-1"])
    )
    again = _again(team, "digits", killed)
    print(f"pod deleted -> stepping again: {again:.1f} s (target < 45)")
    status = team.when("digits", phase="Running")
    assert (status["restarts"]["infrastructure"], status["restarts"]["user"]) == (1, 0)
    assert _uids(team, "digits")["digits-0"] == before["digits-0"]


def test_node_0_may_be_the_one_that_is_deleted(team: Team) -> None:
    before = _under_way(team, "digits")
    delete = ("-n", team.namespace, "delete", "pod", "digits-0", "--wait=false", "--grace-period=1")
    killed = _now(team, lambda: team.cluster.kubectl(*delete))
    until(
        "it is replaced", lambda: _uids(team, "digits"), lambda it: it.get("digits-0") not in (None, before["digits-0"])
    )
    again = _again(team, "digits", killed)
    print(f"pod of node 0 deleted -> stepping again: {again:.1f} s (target < 45)")
    assert _uids(team, "digits")["digits-1"] == before["digits-1"]


@pytest.mark.parametrize("moment", ["running", "starting", "ending"])
def test_the_operator_may_be_killed_at_any_time(team: Team, moment: str) -> None:
    kill = ("-n", SYSTEM, "delete", "pods", "--all", "--grace-period=0", "--force")
    if moment == "starting":
        team.apply(team.digits("digits"))
        team.cluster.kubectl(*kill)
    else:
        team.apply(team.digits("digits"))
        team.stepping("digits")
        if moment == "ending":
            until("it ends", lambda: team.report("digits-0"), lambda it: it.get("stage") not in ("train", "prepare"))
        team.cluster.kubectl(*kill)
    status = team.when("digits", phase="Complete")
    assert status["restarts"] == {"user": 0, "infrastructure": 0, "attempt": 0}
    assert status["model"]["metrics"]["accuracy"] > 0.9


def test_a_node_that_is_gone_for_good_is_given_up(team: Team) -> None:
    job = team.digits("digits", **LONG, recovery={"nodeLossSeconds": 10})
    job["spec"]["template"] = {"topology": {"key": "kubernetes.io/hostname", "policy": "spread"}}
    team.apply(job)
    step = team.stepping("digits", beyond=40)
    storage = _storage_node(team)
    places = {name: pod["spec"]["nodeName"] for name, pod in team.pods("digits").items()}
    (name, lost), *others = [place for place in places.items() if place[1] != storage]
    assert not others, places
    start = time.monotonic()
    docker("pause", lost)
    try:
        team.when("digits", reason="NodeLost")
        team.stepping("digits", beyond=step)
        print(f"node lost for good -> stepping again: {time.monotonic() - start:.1f} s (target < 120)")
        assert team.pods("digits")[name]["spec"]["nodeName"] != lost
    finally:
        docker("unpause", lost)
        team.cluster.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=120s")


def test_a_node_0_that_lives_on_unheard_takes_nothing_back(team: Team) -> None:
    """Its kubelet is cut off, and its pod trains on: of two nodes 0 only the new one may write."""
    storage = _storage_node(team)
    team.cluster.kubectl("cordon", storage)
    try:
        team.apply(team.digits("digits", **LONG | {"nodes": 1}, recovery={"nodeLossSeconds": 10}))
        step = team.stepping("digits", beyond=40)
    finally:
        team.cluster.kubectl("uncordon", storage)
    deaf = team.pods("digits")["digits-0"]["spec"]["nodeName"]
    docker("exec", deaf, "systemctl", "stop", "kubelet")
    try:
        team.when("digits", reason="NodeLost")
        until("its successor is there", lambda: team.pods("digits"), lambda it: _elsewhere(it, deaf))
        uids = _uids(team, "digits")
        step = team.stepping("digits", beyond=step)
        team.stepping("digits", beyond=step + 200)
        assert _uids(team, "digits") == uids
        assert team.status("digits")["restarts"]["attempt"] == 1
    finally:
        docker("exec", deaf, "systemctl", "start", "kubelet")
        team.cluster.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=120s")


def _elsewhere(pods: dict[str, Any], node: str) -> bool:
    return "digits-0" in pods and pods["digits-0"]["spec"].get("nodeName") not in (None, node)


def _storage_node(team: Team) -> str:
    """Where the object storage runs: losing it isn't what these tests are about."""
    found: str = team.cluster.get("-n", NAMESPACE, "pods")["items"][0]["spec"]["nodeName"]
    return found


def _under_way(team: Team, name: str) -> dict[str, str]:
    """Pods' UIDs, once a checkpoint is committed and steps are made."""
    team.apply(team.digits(name, **LONG))
    until("a checkpoint is committed", lambda: team.report(f"{name}-0"), lambda it: bool(it.get("checkpoint")))
    return _uids(team, name)


def _uids(team: Team, name: str) -> dict[str, str]:
    return {pod: it["metadata"]["uid"] for pod, it in team.pods(name).items()}


def _now(team: Team, do: object) -> tuple[float, int]:
    """When `do` was done, and the step at which training was."""
    step = team.stepping("digits")
    do()  # type: ignore[operator]
    return time.monotonic(), step


def _again(team: Team, name: str, killed: tuple[float, int]) -> float:
    """Seconds from the fault until node 0 makes steps again; it must not begin at step 0."""
    until("it stops", lambda: team.report(f"{name}-0"), lambda it: not it.get("progress"), 60)
    first = team.stepping(name)
    assert first >= 20, "it began from nothing"
    return time.monotonic() - killed[0]
