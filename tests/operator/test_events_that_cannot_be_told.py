"""Events are for people to read: that they can't be told stops no restart and no end, and they're told later."""

from pathlib import Path

import pytest

from support.api_proxy import PASS, ApiProxy, Fault
from support.cluster import Namespace, until
from support.forked_operator import an_operator

TROUBLES = {
    "rate limited": Fault("answer", status=429, reason="TooManyRequests"),
    "out of order": Fault("answer", status=503),
    "cut": Fault("cut before"),
    "in conflict": Fault("answer", status=409, reason="Conflict"),
    "silent": Fault("hold"),
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
def test_the_job_goes_on_and_the_last_one_is_told_later(
    proxy: ApiProxy, alone: Namespace, tmp_path: Path, trouble: Fault
) -> None:
    proxy.choose = lambda request: trouble if request.kind == "POST events" else PASS
    quick = {"events._SECONDS": 0.2, "events._AGAIN_SECONDS": 1.0}
    with an_operator(proxy.through, tmp_path / "log", quick, TRAINYARD_NAMESPACES=alone.name) as operator:
        alone.create("digits")
        alone.run_all("digits")
        alone.end("digits-1", 137, reason="OOMKilled")
        until("it is replaced", lambda: alone.replaced("digits-1"))
        alone.run_all("digits")
        alone.end("digits-1")
        alone.end("digits-0")
        alone.when("digits", phase="Complete")
        assert "can't be told now" in operator.log.read_text()
        proxy.choose = lambda request: PASS
        proxy.release()
        until("the end is told", lambda: "Completed" in {each["reason"] for each in alone.events("digits")})
        assert alone.status("digits")["restarts"]["user"] == 1


def test_what_is_owed_of_a_job_that_is_gone_is_forgotten(proxy: ApiProxy, alone: Namespace, tmp_path: Path) -> None:
    proxy.choose = lambda request: Fault("answer", status=429) if request.kind == "POST events" else PASS
    quick = {"events._AGAIN_SECONDS": 0.5}
    with an_operator(proxy.through, tmp_path / "log", quick, TRAINYARD_NAMESPACES=alone.name) as operator:
        for name in ("first", "second"):
            alone.create(name, nodes=1)
            alone.run_all(name, 1)
        alone.delete("first")
        looks = operator.looks()
        until("it looks at the other one again and again", lambda: operator.looks() > looks + 3)
        told = operator.log.read_text().count(f"{alone.name}/first")
        looks = operator.looks()
        until("it looks at the other one again and again", lambda: operator.looks() > looks + 3)
        assert operator.log.read_text().count(f"{alone.name}/first") == told
