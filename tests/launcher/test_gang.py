"""What node 0 makes of what the others say, without any process."""

import math
from pathlib import Path
from typing import Any

import pytest

from support.launched import wait_until
from trainyard_api.documents import Fault
from trainyard_api.errors import TrainyardError
from trainyard_launcher.attempts import begin_attempt
from trainyard_launcher.gang.documents import Word
from trainyard_launcher.gang.gang import Gang, NotOurs
from trainyard_launcher.gang.wish import Wish
from trainyard_storage import open_store

FAULT = Fault(cause="UserError", message="ValueError: no", rank=1)


def gang(fewest: int, most: int, usual: int | None = None, **limits: float) -> Gang:
    seconds = {"lost_seconds": math.inf, "shrink_seconds": math.inf, **limits}
    return Gang("uid", "file:///run", "leader", fewest=fewest, most=most, usual=usual or most, **seconds)


def word(node: int, **said: Any) -> Word:
    return Word(uid="uid", node=node, **{"launcher": f"launcher-{node}", "leader": "leader", **said})


def begun(count: int, **bounds: Any) -> Gang:
    """A gang whose attempt 7 runs on `count` nodes."""
    one = gang(**{"fewest": count, "most": count, **bounds})
    for node in range(1, count):
        one.answer(word(node))
    assert begins(one, 7) == count
    for node in range(1, count):
        one.answer(word(node, running=7))
    return one


def begins(one: Gang, number: int) -> int:
    """Nodes with which attempt `number` begins."""
    place = one.begin(number, "10.0.0.1", 4711)
    assert place is not None
    assert place.rank == 0
    return place.nodes


def test_it_begins_when_all_are_there_and_ranks_go_by_number() -> None:
    one = gang(3, 3)
    assert one.waits_for() == "node 1, 2 of 3"
    assert one.answer(word(2)).attempt == 0
    assert one.waits_for() == "node 1 of 3"
    one.answer(word(1))
    assert one.waits_for() == ""
    assert begins(one, 7) == 3
    orders = [one.answer(word(node)) for node in (1, 2)]
    assert [(order.attempt, order.rank, order.nodes, order.port) for order in orders] == [
        (7, 1, 3, 4711),
        (7, 2, 3, 4711),
    ]
    one.end()
    assert one.answer(word(1)).attempt == 0
    one.finish()
    assert one.answer(word(1)).done


def test_nothing_begins_while_somebody_still_runs_the_last_attempt() -> None:
    one = begun(2)
    one.end()
    assert one.waits_for() == one.busy() == "node 1 to end attempt 7"
    one.answer(word(1, ended=7, outcome="lost"))
    assert one.waits_for() == ""


def test_nothing_begins_without_a_node_that_left_since_all_were_there() -> None:
    one = gang(2, 2)
    one.answer(word(1))
    assert one.waits_for() == ""
    one.answer(word(1, leaving=True))
    assert one.begin(7, "10.0.0.1", 4711) is None
    assert one.waits_for() == "node 1 of 2"
    one.answer(word(1, launcher="another"))
    assert begins(one, 8) == 2


@pytest.mark.parametrize(
    ("said", "wish"),
    [
        ({"running": 7}, Wish.NOTHING),
        ({"ended": 7, "outcome": "done"}, Wish.NOTHING),
        ({"ended": 6, "outcome": "failed"}, Wish.NOTHING),
        ({"ended": 7, "outcome": "failed"}, Wish.SOON),
        ({"ended": 7, "outcome": "failed", "leader": "one before"}, Wish.NOTHING),
        ({"ended": 7, "outcome": "lost"}, Wish.SOON),
        ({"ended": 7, "outcome": "stopped"}, Wish.SAVE),
        ({"ended": 7, "outcome": "stopped", "leaving": True}, Wish.GOING),
        ({"launcher": "another"}, Wish.NOW),
    ],
)
def test_what_a_node_says_decides_what_node_0_does(said: dict[str, Any], wish: Wish) -> None:
    one = begun(3)
    one.answer(word(1, **said))
    assert one.wish() == wish


def test_a_silent_node_is_gone_and_to_blame() -> None:
    one = begun(2, lost_seconds=1.0)
    wait_until(lambda: one.wish() == Wish.NOW, "it is taken as lost")
    one.answer(word(1, running=7))  # it was only late, but what it missed can't be made up for
    assert one.blame().moved


def test_a_replaced_node_is_told_so_and_its_successor_waits_for_the_next_attempt() -> None:
    one = begun(2)
    assert one.answer(word(1, launcher="another")).attempt == 0
    assert one.answer(word(1, running=7)).replaced
    assert one.blame().moved
    one.end()
    assert one.waits_for() == ""
    assert begins(one, 8) == 2
    assert one.answer(word(1, launcher="another")).attempt == 8


def test_the_node_that_failed_is_to_blame_and_not_those_that_lost_it() -> None:
    one = begun(3)
    one.answer(word(1, ended=7, outcome="lost"))
    one.answer(word(2, ended=7, outcome="failed", fault=FAULT))
    assert one.blame().fault == FAULT
    assert not one.blame().moved
    assert one.unfinished() == "1, 2"


def test_an_elastic_gang_takes_newcomers_in_and_does_not_wait_for_who_has_left() -> None:
    one = begun(2, fewest=1, most=3, usual=2)
    assert one.wish() == Wish.NOTHING
    one.answer(word(2))
    assert one.wish() == Wish.SAVE
    one.end()
    one.answer(word(1, ended=7, outcome="stopped"))
    assert one.waits_for() == ""
    assert begins(one, 8) == 3
    one.answer(word(1, ended=8, outcome="stopped", leaving=True))
    one.answer(word(2, ended=8, outcome="stopped"))
    assert one.waits_for() == ""
    assert begins(one, 9) == 2


def test_an_elastic_gang_waits_for_the_lost_and_then_goes_on_without_them() -> None:
    patient, hasty = (gang(1, 2, shrink_seconds=seconds) for seconds in (math.inf, -1.0))
    assert patient.waits_for() == "node 1 of 2"
    assert hasty.waits_for() == ""
    assert begins(hasty, 1) == 1


def test_everyone_knows_that_somebody_rests() -> None:
    one = begun(3)
    assert not one.rest(here=False)
    one.answer(word(2, running=7, rests=True))
    assert one.rest(here=False)
    assert one.answer(word(1, running=7)).rests
    assert not one.answer(word(2, running=7)).rests
    assert one.rest(here=True)
    assert one.answer(word(1, running=7)).rests
    assert not one.rest(here=False)


def test_restarts_that_were_counted_before_a_node_was_made_count_for_all() -> None:
    one = gang(3, 3)
    one.tell(restarts=1)
    assert one.answer(word(1)).restarts == 1
    assert one.answer(word(2, restarts=2)).restarts == 2
    assert one.answer(word(1)).restarts == 2
    assert one.restarts == 2


@pytest.mark.parametrize("said", [{"node": 0}, {"node": 2}, {"node": 1, "uid": "of another job"}])
def test_strangers_are_not_heard(said: dict[str, Any]) -> None:
    with pytest.raises(NotOurs):
        gang(2, 2).answer(Word.model_validate({"uid": "uid", "launcher": "l", **said}))


def test_a_launcher_that_was_replaced_may_begin_nothing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    first = begin_attempt(store)
    assert begin_attempt(store, first) == 2
    with pytest.raises(TrainyardError, match="taken over") as refused:
        begin_attempt(store, first)
    assert refused.value.code == 3
