"""What the API server refuses is asked for again, but neither at every look nor for every pod of a large job."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from support.api_proxy import ApiProxy
from support.cluster import Namespace, until
from support.forked_operator import an_operator
from trainyard_api.status import Status
from trainyard_operator import patience
from trainyard_operator.actions import Action, Create, Delete
from trainyard_operator.api import PODS
from trainyard_operator.names import Key
from trainyard_operator.patience import Patience
from trainyard_operator.state import State, Trouble

KEY = Key("team-a", "digits")


def state(generation: int = 1) -> State:
    raw = {"metadata": {"name": "digits", "namespace": "team-a", "uid": "1", "generation": generation}}
    refusals = {"Pod digits-0": Trouble("QuotaExceeded", "no room")}
    return State(KEY, raw, datetime.now(UTC), Status(), refusals=refusals)


def test_patience_grows_to_a_minute_and_ends_with_a_new_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(moment=1000.0)
    monkeypatch.setattr(patience, "time", SimpleNamespace(monotonic=lambda: clock.moment))
    found = Patience()
    waits = []
    for _ in range(8):
        found.refused(state())
        waits.append(found.seconds(state()))
        clock.moment += waits[-1]
    assert waits == [10, 20, 30, 40, 50, 60, 60, 60]
    assert found.seconds(state()) == 0
    found.refused(state())
    assert found.seconds(state(2)) == 0
    found.refused(state(2))
    assert found.seconds(state(2)) == 10
    found.forget(KEY)
    assert found.seconds(state(2)) == 0


def test_only_what_was_refused_is_held() -> None:
    found = Patience()
    refused, other = (Create(PODS, {"metadata": {"name": f"digits-{index}"}}) for index in range(2))
    actions: list[Action] = [refused, other, Delete(PODS, "digits-0", "1")]
    assert found.held(state(), actions) == {}
    found.refused(state())
    assert found.held(state(), actions) == state().refusals


def test_a_quota_is_asked_now_and_then_and_again_for_a_new_spec(
    proxy: ApiProxy, alone: Namespace, tmp_path: Path
) -> None:
    base = f"/api/v1/namespaces/{alone.name}/resourcequotas"
    alone.call("POST", base, {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}})
    until("the quota is in force", lambda: alone.call("GET", f"{base}/none").get("status", {}).get("hard"))
    often = {"TRAINYARD_NAMESPACES": alone.name, "TRAINYARD_RESYNC_SECONDS": "0.1"}
    with an_operator(proxy.through, tmp_path / "log", {"patience._SECONDS": 20.0}, **often) as operator:
        alone.create("digits", nodes=40)
        alone.when("digits", reason="QuotaExceeded")
        looks = operator.looks()
        until("it has looked often", lambda: operator.looks() > looks + 10)
        tried = _refused(proxy)
        assert tried <= 32  # side by side
        alone.patch("digits", recovery={"maxRestarts": 7})
        until("it has tried again", lambda: _refused(proxy) > tried)
        alone.call("DELETE", f"{base}/none")
        alone.created("digits", 40)
        alone.when("digits", reason="Starting")


def _refused(proxy: ApiProxy) -> int:
    return sum(kind == "POST pods" for kind, _ in proxy.refused)
