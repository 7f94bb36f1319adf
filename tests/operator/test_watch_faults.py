"""What a watch loses, says twice, too late or in another order: in the end the operator knows all the same."""

import json
import random
import threading
from pathlib import Path

import pytest

from support.api_proxy import PASS, ApiProxy, Fault, Lines, Request
from support.cluster import Namespace, until
from support.control_plane import ControlPlane
from support.forked_operator import an_operator

JOBS = "/trainingjobs"
GONE = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}
BROKEN = {"type": "ERROR", "object": {"kind": "Status", "code": 500, "reason": "InternalError", "message": "no"}}


class Mangled:
    """Events of all kinds, dropped, doubled and delayed (and so reordered) by chance."""

    def __init__(self, seed: int, drop: float) -> None:
        self._random = random.Random(seed)
        self._drop = drop

    def __call__(self, path: str, line: bytes) -> Lines:
        chance = self._random.random()
        if chance < self._drop:
            return []
        delays = [0.0, self._random.uniform(0, 0.5), self._random.uniform(0, 0.5)]
        return [(delay, line) for delay in (delays[1:2] if chance < 0.5 else delays[:1] if chance < 0.75 else delays)]


def lead_a_full_life(space: Namespace) -> None:
    """Fault, suspension, resumption, end: each step waits for what the operator makes of the last."""
    space.create("digits")
    space.run_all("digits")
    space.end("digits-1", 137, reason="OOMKilled")
    space.when("digits", phase="Restarting")
    until("it is replaced", lambda: _phase(space, "digits-1") == "Pending")
    space.run_all("digits")
    space.patch("digits", suspend=True)
    until(
        "pods are told to stop",
        lambda: all("deletionTimestamp" in p["metadata"] for p in space.pods("digits").values()),
    )
    for pod in space.pods("digits"):
        space.remove(pod)
    space.when("digits", phase="Suspended")
    space.patch("digits", suspend=False)
    space.run_all("digits")
    for pod in ("digits-1", "digits-0"):
        space.end(pod)
    status = space.when("digits", phase="Complete")
    assert status["restarts"]["user"] == 1
    assert status["restarts"]["infrastructure"] == 0


@pytest.mark.parametrize("named", [True, False], ids=["named", "all"])  # with all namespaces, kopf watches jobs
@pytest.mark.parametrize("drop", [0.0, 0.3], ids=["doubled and delayed", "dropped too"])
def test_events_in_disorder_or_lost(
    proxy: ApiProxy, alone: Namespace, tmp_path: Path, drop: float, named: bool
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201
    proxy.mangle = Mangled(seed, drop)
    often = {"TRAINYARD_RESYNC_SECONDS": "1", "TRAINYARD_NAMESPACES": alone.name if named else ""}
    with an_operator(proxy.through, tmp_path / "log", **often):
        lead_a_full_life(alone)


def test_a_list_that_is_older_than_what_we_wrote_takes_nothing_away(
    proxy: ApiProxy, alone: Namespace, tmp_path: Path
) -> None:
    with an_operator(proxy.through, tmp_path / "log", TRAINYARD_NAMESPACES=alone.name):
        alone.create("first", nodes=1)
        alone.run_all("first", 1)
        proxy.choose = lambda request: Fault("hold") if _lists_pods(request) else PASS
        proxy.mangle = lambda path, line: [(0.0, _line(GONE))] if path.endswith("/pods") else [(0.0, line)]
        alone.core.patch_namespaced_pod("first-0", alone.name, {"metadata": {"annotations": {"a": "b"}}})
        until("the list has been made, and is on its way", proxy.held.is_set)
        alone.create("digits")
        alone.created("digits")
        alone.when("digits", phase="Pending")  # the operator knows them
        proxy.mangle = lambda path, line: [(0.0, line)]
        proxy.choose = lambda request: PASS
        proxy.release()
        alone.run_all("digits")
        assert alone.status("digits")["restarts"] == {"user": 0, "infrastructure": 0, "attempt": 0}


@pytest.mark.parametrize("said", [GONE, BROKEN], ids=["gone", "error"])
def test_a_watch_that_ends_with_an_error_is_begun_again(
    proxy: ApiProxy, alone: Namespace, tmp_path: Path, said: dict[str, object]
) -> None:
    left = {"/pods": 1, "/services": 1}

    def mangle(path: str, line: bytes) -> Lines:
        part = f"/{path.rpartition('/')[2]}"
        if left.get(part, 0) > 0:
            left[part] -= 1
            return [(0.0, _line(said))]
        return [(0.0, line)]

    proxy.mangle = mangle
    with an_operator(proxy.through, tmp_path / "log", TRAINYARD_NAMESPACES=alone.name):
        lead_a_full_life(alone)
    assert not any(left.values())


def test_a_watch_that_falls_silent_is_given_up(proxy: ApiProxy, alone: Namespace, tmp_path: Path) -> None:
    """Its connection stands, and nothing comes any more, not even the bookmark of each minute."""
    asked_again = threading.Event()

    def choose(request: Request) -> Fault:
        if request.watch and request.path.endswith("/pods"):
            asked_again.set()
        return PASS

    names = {"TRAINYARD_NAMESPACES": alone.name}
    with an_operator(proxy.through, tmp_path / "log", {"watch._SILENCE_SECONDS": 2.0}, **names):
        alone.create("digits")
        alone.run_all("digits")
        proxy.mangle = lambda path, line: [(0.0, line)] if asked_again.is_set() or "/pods" not in path else []
        proxy.choose = choose
        alone.end("digits-1", 137, reason="OOMKilled")
        alone.when("digits", phase="Restarting")
        assert asked_again.is_set()


@pytest.mark.parametrize("named", [True, False], ids=["named", "all"])
def test_jobs_deleted_unseen_are_found_by_the_next_list(
    proxy: ApiProxy, alone: Namespace, tmp_path: Path, named: bool
) -> None:
    often = {"TRAINYARD_RESYNC_SECONDS": "1", "TRAINYARD_NAMESPACES": alone.name if named else ""}
    with an_operator(proxy.through, tmp_path / "log", **often) as operator:
        alone.create("digits", nodes=1)
        alone.run_all("digits", 1)
        deaf = lambda request: Fault("answer") if request.watch and JOBS in request.path else PASS  # noqa: E731
        proxy.choose = deaf
        proxy.cut_watches(JOBS)
        alone.delete("digits")
        alone.remove("digits-0")
        until("it is forgotten", lambda: _tells_of_none(operator.get("/metrics"), alone))
        proxy.choose = lambda request: PASS
        alone.create("digits", nodes=1)
        alone.run_all("digits", 1)


def test_a_watch_of_jobs_that_is_refused_for_long_ends_nothing(
    proxy: ApiProxy, alone: Namespace, tmp_path: Path
) -> None:
    """With all namespaces it is kopf's, which by itself would give up, and end the operator, after some tries."""
    with an_operator(proxy.through, tmp_path / "log", {"replica.FIRST_PAUSE_SECONDS": 0.01}) as operator:
        alone.create("digits")
        alone.run_all("digits")
        proxy.choose = lambda request: Fault("answer") if request.watch and JOBS in request.path else PASS
        proxy.cut_watches(JOBS)
        until("it was refused often", lambda: len(proxy.refused) > 8)
        alone.end("digits-1", 137, reason="OOMKilled")
        alone.when("digits", phase="Restarting")
        proxy.choose = lambda request: PASS
        alone.run_all("digits")
        assert operator.ended() is None


def test_an_outage_of_the_api_server_is_survived(
    plane: ControlPlane, proxy: ApiProxy, alone: Namespace, tmp_path: Path
) -> None:
    with an_operator(plane.kubeconfig(), tmp_path / "log", TRAINYARD_NAMESPACES=alone.name) as operator:
        alone.create("digits")
        alone.run_all("digits")
        with plane.outage():
            until("it has noticed", lambda: "no answer" in operator.log.read_text())
        alone.end("digits-1", 137, reason="OOMKilled")
        alone.when("digits", phase="Restarting")
        alone.run_all("digits")
        assert operator.ended() is None


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_storm_of_refusals_changes_nothing(proxy: ApiProxy, alone: Namespace, tmp_path: Path, status: int) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201
    chance = random.Random(seed)
    refuse = Fault("answer", status=status, reason="Storm", retry_after=1 if status == 429 else None)
    cut = Fault("cut after")

    def choose(request: Request) -> Fault:
        number = chance.random()
        return PASS if not request.write else refuse if number < 0.2 else cut if number < 0.3 else PASS

    proxy.choose = choose
    with an_operator(proxy.through, tmp_path / "log", TRAINYARD_NAMESPACES=alone.name):
        lead_a_full_life(alone)


def _lists_pods(request: Request) -> bool:
    return request.method == "GET" and request.path.endswith("/pods") and not request.watch


def _tells_of_none(metrics: str, space: Namespace) -> bool:
    return "trainyard_operator_leader 1" in metrics and f'namespace="{space.name}"' not in metrics


def _line(event: dict[str, object]) -> bytes:
    return json.dumps(event).encode() + b"\n"


def _phase(space: Namespace, pod: str) -> str | None:
    found = space.pods("digits").get(pod)
    return found and found["status"]["phase"]
