"""What another node makes of node 0's orders, without any process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from trainyard_api.documents import ResolvedJob
from trainyard_api.errors import ExitCode
from trainyard_launcher import member
from trainyard_launcher.account import Account
from trainyard_launcher.attempt import Ended
from trainyard_launcher.deadline import Deadline
from trainyard_launcher.gang.documents import Order
from trainyard_launcher.gang.link import Link
from trainyard_launcher.interruption import Interruption
from trainyard_launcher.node import Node
from trainyard_launcher.observer import Observer
from trainyard_launcher.stages import stages_of
from trainyard_launcher.work import Work
from trainyard_storage import open_store


class Ordered(Link):
    """A link on which node 0 says one thing after another."""

    def __init__(self, orders: list[Order]) -> None:
        self._said: Iterator[Order] = iter(orders)
        super().__init__("", 0, "u", 1, nodes=2, lost_seconds=60.0)
        self.trouble = ""

    @property
    def order(self) -> Order:
        return next(self._said)

    @order.setter
    def order(self, order: Order) -> None:
        pass


class Begun(list[tuple[str, int]]):
    """Which attempts began, and in which run; each comes to its end at once."""

    def __call__(self, work: Work) -> "Begun":
        self.run_uri = work.store.uri
        return self

    def run(self, stage: object, number: int, *_: object) -> Ended:
        self.append((self.run_uri, number))
        return Ended(None, heartbeats=True)


def work_in(folder: Path) -> Work:
    spec = {"script": {"command": ["-m", "this"]}}
    document = {"name": "job", "namespace": "default", "uid": "u", "spec": spec, "nodes": 2}
    here = Node(1, "job-0.tj-job", "127.0.0.1", restarts=0, report_port=9465)
    job, store = ResolvedJob.model_validate(document), open_store(str(folder / "a"))
    return Work(job, store, folder, folder, Interruption(), Account(Observer()), Deadline(None), here)


def test_a_new_node_0_counts_attempts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = Begun()
    monkeypatch.setattr(member, "Attempts", begun)
    a, b = (f"file://{tmp_path}/{name}" for name in "ab")
    first = Order(leader="first", run=a, attempt=2)
    second = Order(leader="second", run=b, attempt=2)
    orders = [first, first, Order(leader="second", run=b), second, second, Order(done=True), Order(done=True)]
    work = work_in(tmp_path)
    outcome = member.Member(work, Ordered(orders)).run(stages_of(work.job)[-1])
    assert outcome.code == ExitCode.OK
    assert begun == [(a, 2), (b, 2)]
