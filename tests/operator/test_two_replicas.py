"""Of two replicas one acts; the other takes over, and never do both write."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.api_proxy import PASS, ApiProxy, Fault, Request, api_proxy
from support.cluster import Namespace, until
from support.control_plane import ControlPlane
from support.forked_operator import ForkedOperator

LEASE = "two-replicas"


class Replica:
    """One of them, behind a proxy of its own that counts what it writes."""

    def __init__(self, proxy: ApiProxy, operator: ForkedOperator) -> None:
        self.proxy, self.operator = proxy, operator

    def leads(self) -> bool:
        return self.operator.metric("trainyard_operator_leader") == 1


@contextmanager
def replica(plane: ControlPlane, space: Namespace, log: Path) -> Iterator[Replica]:
    with api_proxy(plane) as proxy:
        names = {"TRAINYARD_NAMESPACES": space.name, "POD_NAMESPACE": space.name, "TRAINYARD_LEASE": LEASE}
        operator = ForkedOperator(proxy.through, log, {}, POD_NAME=log.name, **names)
        operator.start()
        try:
            operator.when_ready()
            yield Replica(proxy, operator)
        finally:
            operator.kill()


@pytest.fixture
def first(plane: ControlPlane, alone: Namespace, tmp_path: Path) -> Iterator[Replica]:
    with replica(plane, alone, tmp_path / "first") as found:
        until("the first leads", found.leads)
        yield found


@pytest.fixture
def second(plane: ControlPlane, alone: Namespace, first: Replica, tmp_path: Path) -> Iterator[Replica]:
    with replica(plane, alone, tmp_path / "second") as found:
        yield found


def test_one_acts_and_the_other_watches(alone: Namespace, first: Replica, second: Replica) -> None:
    alone.create("digits")
    alone.run_all("digits")
    assert first.proxy.writes
    assert not second.proxy.writes
    assert _holder(alone).startswith("first_")
    assert not second.leads()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_the_other_takes_over(alone: Namespace, first: Replica, second: Replica, how: signal.Signals) -> None:
    alone.create("digits")
    alone.run_all("digits")
    first.operator.signal(how)
    began = time.monotonic()
    alone.end("digits-1", 137, reason="OOMKilled")
    alone.when("digits", phase="Restarting")
    print(f"the other one acted after {time.monotonic() - began:.1f} s")  # noqa: T201
    assert _holder(alone).startswith("second_")
    _replaced(alone)
    assert alone.status("digits")["restarts"]["user"] == 1


def test_one_that_wakes_up_writes_nothing(alone: Namespace, first: Replica, second: Replica) -> None:
    alone.create("digits")
    alone.run_all("digits")
    first.operator.signal(signal.SIGSTOP)
    alone.end("digits-1", 137, reason="OOMKilled")  # it lies in the frozen one's socket
    alone.when("digits", phase="Restarting")
    _replaced(alone)
    before = list(first.proxy.writes)
    first.operator.signal(signal.SIGCONT)
    until("it has ended", lambda: first.operator.ended() is not None)
    assert first.operator.ended() == 1
    assert first.proxy.writes == before
    assert alone.status("digits")["restarts"]["user"] == 1
    assert _holder(alone).startswith("second_")


def test_one_that_is_told_to_stop_gives_the_lease_back(alone: Namespace, first: Replica, second: Replica) -> None:
    alone.create("digits")
    alone.run_all("digits")
    began = time.monotonic()
    assert first.operator.stop() == 0
    stopped = time.monotonic()
    until("the other leads", second.leads)
    print(f"ended after {stopped - began:.1f} s, replaced after {time.monotonic() - began:.1f} s")  # noqa: T201
    transitions = json.dumps(_lease(alone))
    assert '"holderIdentity": "second_' in transitions
    assert not first.operator.log.read_text().count("wasn't given back")


def test_a_lease_that_cannot_be_renewed_ends_the_work(alone: Namespace, first: Replica, second: Replica) -> None:
    """The API server takes every write of the first but the renewal: it has to stop all the same."""
    alone.create("digits")
    alone.run_all("digits")
    first.proxy.choose = lambda request: Fault("answer") if _renews(request) else PASS
    until("it has ended", lambda: first.operator.ended() is not None)
    before = list(first.proxy.writes)
    alone.end("digits-1", 137, reason="OOMKilled")
    alone.when("digits", phase="Restarting")
    assert _holder(alone).startswith("second_")
    assert first.proxy.writes == before
    _replaced(alone)
    assert alone.status("digits")["restarts"]["user"] == 1


def test_a_write_whose_answer_outlives_the_lease_is_followed_by_no_other(
    alone: Namespace, first: Replica, second: Replica
) -> None:
    alone.create("digits")
    alone.run_all("digits")

    def choose(request: Request) -> Fault:
        if _renews(request):
            return Fault("answer")
        return Fault("hold") if request.kind == "POST events" else PASS

    first.proxy.choose = choose
    alone.end("digits-1", 137, reason="OOMKilled")
    until("the first one's write hangs", first.proxy.held.is_set)
    until("the other leads", second.leads)
    alone.when("digits", phase="Restarting")
    before = list(first.proxy.writes)
    first.proxy.release()
    until("it has ended", lambda: first.operator.ended() is not None)
    assert first.proxy.writes == before
    _replaced(alone)
    assert alone.status("digits")["restarts"]["user"] == 1


def _replaced(space: Namespace) -> None:
    until(
        "it is replaced", lambda: space.pods("digits").get("digits-1", {}).get("status", {}).get("phase") == "Pending"
    )
    space.run_all("digits")


def _renews(request: Request) -> bool:
    return "/leases/" in request.path and request.method == "PUT"


def _lease(space: Namespace) -> dict[str, object]:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{space.name}/leases/{LEASE}"
    found: dict[str, object] = space.call("GET", path)["spec"]
    return found


def _holder(space: Namespace) -> str:
    return str(_lease(space).get("holderIdentity"))
