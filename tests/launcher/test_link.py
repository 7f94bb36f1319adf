"""What goes over the wire between node 0 and another node: nothing that is said silences who says it."""

import math
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from support.launched import wait_until
from trainyard_api.documents import Fault
from trainyard_launcher.gang.documents import Order
from trainyard_launcher.gang.gang import Gang
from trainyard_launcher.gang.link import Link
from trainyard_launcher.gang.service import serve_gang
from trainyard_launcher.ports import free_port
from trainyard_launcher.serving import SmallHandler, SmallServer


def two_nodes(uid: str = "uid") -> Gang:
    return Gang(uid, "file:///run", "leader", fewest=2, most=2, usual=2, lost_seconds=math.inf, shrink_seconds=math.inf)


@contextmanager
def answering(gang: Gang, address: str, port: int) -> Iterator[None]:
    """Node 0's side."""
    server = serve_gang(gang, address, port)
    try:
        yield
    finally:
        server.close()


def link_to(host: str, port: int) -> Link:
    """Node 1's side."""
    return Link(host, port, "uid", 1, nodes=2, lost_seconds=math.inf)


class Names:
    """What the name node-0 stands for; nothing: the name server doesn't answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.known: list[str] = []
        self.asked = 0
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)

    def _look_up(self, host: Any, port: Any, *rest: Any, **more: Any) -> list[Any]:
        if host != "node-0":
            return self._real(host, port, *rest, **more)
        self.asked += 1
        if not self.known:
            raise socket.gaierror(-3, "Temporary failure in name resolution")
        return [found for known in self.known for found in self._real(known, port, *rest, **more)]

    def wait_for_question(self) -> None:
        """Until the name has been asked for once more."""
        before = self.asked
        wait_until(lambda: self.asked > before + 1, "the name is asked for")


def test_a_fault_of_any_length_is_heard() -> None:
    gang = two_nodes()
    long = Fault(
        cause="UserError", message="RuntimeError: sizes differ", exception="x" * 100_000, lastLines=["y" * 9000]
    )
    port = free_port()
    with answering(gang, "127.0.0.1", port), link_to("127.0.0.1", port) as link:
        wait_until(lambda: not gang.waits_for(), "node 1 is heard")
        gang.begin(7, "10.0.0.1", 4711)
        link.end(Order(attempt=7, leader="leader"), "failed", long)
        heard = wait_until(lambda: gang.blame().fault, "why node 1 failed is heard")
        assert heard.message == long.message
        assert heard.exception.startswith("xxx")
    assert link.trouble == ""


def test_only_a_refusal_means_another_job() -> None:
    class Ill(SmallHandler):
        def do_POST(self) -> None:
            self.answer(503)

    port = free_port()
    server = SmallServer("127.0.0.1", port, Ill)
    with link_to("127.0.0.1", port) as link:
        wait_until(lambda: link.trouble == "answers with 503", "node 0's trouble is told as it is")
    server.close()


def test_rest_is_told_both_ways() -> None:
    gang, port = two_nodes(), free_port()
    with answering(gang, "127.0.0.1", port), link_to("127.0.0.1", port) as link:
        wait_until(lambda: not gang.waits_for(), "node 1 is heard")
        gang.begin(7, "10.0.0.1", 4711)
        peers = link.peers(wait_until(lambda: link.order.attempt and link.order, "the order comes"))
        assert peers.rest(here=True)
        wait_until(lambda: gang.rest(here=False), "node 0 knows that node 1 rests")
        wait_until(lambda: not peers.rest(here=False), "nobody rests any more")
        gang.rest(here=True)
        wait_until(lambda: peers.rest(here=False), "node 1 knows that node 0 rests")


def test_a_name_server_that_is_down_silences_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    gang, names, port = two_nodes(), Names(monkeypatch), free_port()
    with answering(gang, "127.0.0.1", port), link_to("node-0", port) as link:
        wait_until(lambda: "resolve" in link.trouble, "the name is missing")
        names.known = ["127.0.0.9", "127.0.0.1"]  # nobody listens at the first
        wait_until(lambda: not gang.waits_for(), "node 1 is heard")
        names.known = []
        names.wait_for_question()
        link.begin(Order(attempt=7))
        wait_until(gang.busy, "node 1 is heard still")
        assert link.trouble == ""


def test_a_new_node_0_is_found_though_the_old_address_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    names, port, old, new = Names(monkeypatch), free_port(), two_nodes(), two_nodes()
    names.known = ["127.0.0.1"]
    with link_to("node-0", port) as link:
        with answering(old, "127.0.0.1", port):
            wait_until(lambda: not old.waits_for(), "node 1 is heard")
        with answering(two_nodes("of another job"), "127.0.0.1", port), answering(new, "127.0.0.2", port):
            wait_until(lambda: "another job" in link.trouble, "the old address is another pod's by now")
            names.known = ["127.0.0.2"]
            wait_until(lambda: not new.waits_for(), "node 1 is heard by the new node 0")
