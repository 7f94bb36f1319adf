"""Another node's side: asks node 0, several times a second, what is to be done."""

import http.client
import secrets
import socket
import threading
import time
from types import TracebackType

from pydantic import ValidationError

from trainyard_api.documents import Fault
from trainyard_launcher.account import short_fault
from trainyard_launcher.gang.documents import Order, Outcome, Word
from trainyard_launcher.gang.wish import Wish

POLL_SECONDS = 0.2
_WORDS_A_SECOND = 400  # that node 0 hears without noticing
_TIMEOUT = 3.0
_LOOK_UP_SECONDS = 2.0  # how often the name is looked up: a replaced node 0 has another address


def poll_seconds(nodes: int) -> float:
    """How often each of `nodes` asks."""
    return max(POLL_SECONDS, nodes / _WORDS_A_SECOND)


class Link:
    """Node 0 as this node sees it. Enter it to begin asking.

    A thread asks, and another one looks up the name: while no name server answers, node 0 is where it was.
    """

    def __init__(
        self, host: str, port: int, uid: str, node: int, *, nodes: int, lost_seconds: float, restarts: int = 0
    ) -> None:
        self._host, self._port = host, port
        self._word = Word(uid=uid, node=node, launcher=secrets.token_hex(8), restarts=restarts)
        self._pause = poll_seconds(nodes)
        self._lost_seconds = lost_seconds
        self._answered = time.monotonic()
        self._addresses: list[str] = []  # of node 0, the one that answered last first
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask_on, name="node 0", daemon=True)
        self._names = threading.Thread(target=self._look_up, name="name of node 0", daemon=True)
        self.order = Order()
        self.trouble = "doesn't answer yet"  # why the last question had no answer; empty: it had

    def __enter__(self) -> "Link":
        self._names.start()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Say good-bye, if node 0 is there to hear it."""
        self._ended.set()
        self._thread.join(2 * _TIMEOUT)
        self._word = self._word.model_copy(update={"leaving": True})
        if not self.trouble:
            self._ask()

    @property
    def silent_seconds(self) -> float:
        """Since the last answer, or since the first question."""
        return time.monotonic() - self._answered

    def begin(self, order: Order) -> None:
        """Say that ranks run here, as node 0 has ordered."""
        self._word = self._word.model_copy(update={"running": order.attempt})

    def end(self, order: Order, outcome: Outcome, fault: Fault | None) -> None:
        """Say that they have ended, and how."""
        short = fault and short_fault(fault)  # a word that is too long isn't heard, nor is any after it
        ended = {"ended": order.attempt, "leader": order.leader, "outcome": outcome, "fault": short}
        self._word = self._word.model_copy(update={"running": 0, "rests": False, **ended})

    def rest(self, *, here: bool) -> None:
        """Say whether a rank rests here."""
        if here != self._word.rests:
            self._word = self._word.model_copy(update={"rests": here})

    def peers(self, order: Order) -> "_Node0":
        """Node 0, as the ranks of the attempt that it has ordered have it for a peer."""
        return _Node0(self, order, self._lost_seconds)

    def _look_up(self) -> None:
        while True:
            try:
                found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            except OSError:
                if not self._addresses:
                    self.trouble = "has a name that doesn't resolve yet"
            else:
                last = self._addresses[:1]
                self._addresses = sorted({str(place[4][0]) for place in found}, key=lambda each: each not in last)
            if self._ended.wait(_LOOK_UP_SECONDS):
                return

    def _ask_on(self) -> None:
        while not self._ended.is_set():
            self._ask()
            self._ended.wait(self._pause)

    def _ask(self) -> None:
        for address in self._addresses:
            self._ask_at(address)
            if not self.trouble:
                self._addresses = [address, *(other for other in self._addresses if other != address)]
                return

    def _ask_at(self, address: str) -> None:
        connection = http.client.HTTPConnection(address, self._port, timeout=_TIMEOUT)
        try:
            connection.request("POST", "/", self._word.model_dump_json().encode())
            response = connection.getresponse()
            body = response.read(64 * 1024)
            if response.status != 200:
                self.trouble = "is of another job" if response.status == 400 else f"answers with {response.status}"
                return
            self.order = Order.model_validate_json(body)
        except (OSError, http.client.HTTPException, ValidationError):
            self.trouble = "doesn't answer yet"
        else:
            self._answered, self.trouble = time.monotonic(), ""
        finally:
            connection.close()


class _Node0:
    def __init__(self, link: Link, order: Order, lost_seconds: float) -> None:
        self._link, self._order, self._lost_seconds = link, order, lost_seconds

    def wish(self) -> Wish:
        """The end, if node 0 is silent or has other plans."""
        if self._link.silent_seconds > self._lost_seconds:
            return Wish.NOW
        now = self._link.order
        same = (now.leader, now.attempt) == (self._order.leader, self._order.attempt)
        return Wish.NOTHING if same else Wish.SOON

    def rest(self, *, here: bool) -> bool:
        """Tell node 0 whether a rank rests here; whether one does anywhere."""
        self._link.rest(here=here)
        return here or self._link.order.rests
