"""An attempt whose nodes don't find each other is told of and ended, not waited for without end."""

from pathlib import Path

import pytest

from support.launched import wait_until
from trainyard_launcher.gang import muster
from trainyard_launcher.gang.muster import Muster
from trainyard_launcher.gang.wish import NoPeers, Wish
from trainyard_launcher.runtime import clear, forget_pid, write_pid


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(muster, "LATE_SECONDS", 0.0)
    return []


def test_nodes_that_do_not_meet_end_the_attempt(
    tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(muster, "MOST_SECONDS", 0.1)
    one = Muster(NoPeers(), tmp_path, "10.0.0.1:4711", told.append, 1.0)
    assert one.wish() == Wish.NOTHING
    assert told == ["the nodes to reach each other at 10.0.0.1:4711"]
    wait_until(lambda: one.wish() == Wish.NOW, "the end is wanted")
    assert one.fault is not None
    assert "can't reach each other at 10.0.0.1:4711" in one.fault.message


def test_nodes_that_met_have_no_limit(tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    one = Muster(NoPeers(), tmp_path, "10.0.0.1:4711", told.append, 1.0)
    assert one.wish() == Wish.NOTHING
    write_pid(tmp_path, 0)
    forget_pid(tmp_path, 0)  # a rank may be done before anyone looks
    assert one.wish() == Wish.NOTHING
    assert told[1:] == [""]
    clear(tmp_path)
    monkeypatch.setattr(muster, "MOST_SECONDS", 0.0)
    assert one.wish() == Wish.NOTHING
    assert Muster(NoPeers(), tmp_path, "10.0.0.1:4711", told.append, 1.0).wish() == Wish.NOW
