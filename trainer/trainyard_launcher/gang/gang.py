"""Node 0's side: who is there, who takes part, and how it went."""

import threading
import time
from dataclasses import dataclass, replace

from trainyard_api.documents import Fault
from trainyard_launcher.gang.documents import Order, Word
from trainyard_launcher.gang.wish import Wish
from trainyard_launcher.torchrun import Place


class NotOurs(Exception):
    """A word from a node of another job."""


@dataclass(frozen=True)
class _Heard:
    word: Word
    at: float  # time.monotonic()


@dataclass(frozen=True)
class _Attempt:
    number: int
    members: dict[int, str]  # node -> its launcher, without node 0
    address: str
    port: int
    open: bool = True


@dataclass(frozen=True)
class Blame:
    """Whose doing the end of an attempt was: a node's that failed, or of nodes that came or went."""

    fault: Fault | None
    moved: bool


class Gang:
    """The nodes of a job. Safe to use from any thread: words come in those of the server."""

    def __init__(
        self,
        uid: str,
        run: str,
        launcher: str,
        *,
        fewest: int,
        most: int,
        usual: int,
        lost_seconds: float,
        shrink_seconds: float,
    ) -> None:
        """`fewest` to `most` nodes train together: `usual` of them at first, then as many as did last.

        `launcher`, made up, tells this node 0 from one before it: what was said of that one's attempts isn't of ours.

        Those that are missing are waited for, `shrink_seconds` long if fewer will do; one that said that it leaves
        isn't. A node from which nothing was heard for `lost_seconds` is gone.
        """
        self._uid, self._launcher = uid, launcher
        self._fewest, self._most, self._usual = fewest, most, usual
        self._lost_seconds, self._shrink_seconds = lost_seconds, shrink_seconds
        self._lock = threading.Lock()
        self._heard: dict[int, _Heard] = {}
        self._replaced: set[str] = set()
        self._attempt = _Attempt(0, {}, "", 0, open=False)
        self._gone = self._rests = False
        self._changed = time.monotonic()
        self._present: set[int] = set()
        self._order = Order(run=run, leader=launcher)

    def answer(self, word: Word) -> Order:
        """Take in what a node says. Raises NotOurs."""
        if word.uid != self._uid or not 0 < word.node < self._most:
            raise NotOurs
        with self._lock:
            if word.launcher in self._replaced:
                return Order(replaced=True)
            before = self._heard.get(word.node)
            if before and before.word.launcher != word.launcher:
                self._replaced.add(before.word.launcher)
            self._heard[word.node] = _Heard(word, time.monotonic())
            if word.restarts > self._order.restarts:
                self._order = self._order.model_copy(update={"restarts": word.restarts})
            attempt = self._attempt
            if not attempt.open or attempt.members.get(word.node) != word.launcher:
                return self._order
            return self._order.model_copy(
                update={
                    "attempt": attempt.number,
                    "rank": 1 + sorted(attempt.members).index(word.node),
                    "nodes": 1 + len(attempt.members),
                    "address": attempt.address,
                    "port": attempt.port,
                    "rests": self._anyone_rests(),
                }
            )

    def tell(self, *, stage: str | None = None, restarts: int | None = None, waiting: str = "") -> None:
        """What every node is told besides."""
        known = {"stage": stage, "restarts": restarts, "waiting": waiting}
        with self._lock:
            self._order = self._order.model_copy(update={k: v for k, v in known.items() if v is not None})

    @property
    def restarts(self) -> int:
        """Restarts after faults of the program so far: those that were told, or counted when a node's pod was made."""
        with self._lock:
            return self._order.restarts

    def finish(self) -> None:
        """Nothing is left for the others to do."""
        with self._lock:
            self._order = self._order.model_copy(update={"done": True})

    def waits_for(self) -> str:
        """What is in the way of an attempt, in plain words; empty: nothing."""
        with self._lock:
            return self._waits_for()

    def busy(self) -> str:
        """Which nodes still run an attempt, in plain words; empty: none."""
        with self._lock:
            return self._busy()

    def begin(self, number: int, address: str, port: int) -> Place | None:
        """Begin an attempt with whoever is there; node 0's place in it. None if there's something to wait for again."""
        with self._lock:
            if self._waits_for():
                return None
            members = {node: heard.word.launcher for node, heard in self._there().items()}
            self._attempt = _Attempt(number, members, address, port)
            self._gone = self._rests = False
            self._usual = 1 + len(members)
            return Place(0, 1 + len(members), address, port)

    def end(self) -> None:
        """The attempt has ended on node 0: it's to end everywhere."""
        with self._lock:
            self._attempt = replace(self._attempt, open=False)

    def wish(self) -> Wish:
        """What the others want of node 0's ranks."""
        with self._lock:
            wishes = {self._wish_of(node) for node in self._attempt.members}
            if Wish.NOW in wishes:
                self._gone = True
                return Wish.NOW
            for wish in (Wish.SOON, Wish.GOING):
                if wish in wishes:
                    return wish
            newcomer = any(node not in self._attempt.members for node in self._there())
            return Wish.SAVE if newcomer or Wish.SAVE in wishes else Wish.NOTHING

    def rest(self, *, here: bool) -> bool:
        """Tell the others whether a rank of node 0 rests; whether one does anywhere."""
        with self._lock:
            self._rests = here
            return self._anyone_rests()

    def unfinished(self) -> str:
        """Which nodes haven't come to the end of the attempt; empty: none."""
        with self._lock:
            members = self._attempt.members
            return _listed(sorted(node for node in members if self._outcome(node) != "done"))

    def blame(self) -> Blame:
        """Whose doing the end of the last attempt was, once nobody runs it any more."""
        with self._lock:
            words = {node: self._heard[node].word for node in self._attempt.members}
            faults = [words[node].fault for node in words if self._outcome(node) == "failed"]
            there = self._there()
            now = {node: heard.word.launcher for node, heard in there.items()}
            return Blame(next((fault for fault in faults if fault), None), self._gone or now != self._attempt.members)

    def _waits_for(self) -> str:
        present = self._there()
        if present.keys() != self._present:
            self._present, self._changed = set(present), time.monotonic()
        if busy := self._busy():
            return busy
        count, wanted = 1 + len(present), self._wanted()
        waited = time.monotonic() - self._changed > self._shrink_seconds
        if count >= wanted or (count >= self._fewest and waited):
            return ""
        missing = [node for node in range(1, self._most) if node not in present]
        return f"node {_listed(missing[: wanted - count])} of {wanted}"

    def _wanted(self) -> int:
        """Nodes with which an attempt begins at once."""
        if self._fewest == self._most:
            return self._most
        last = self._attempt.members
        left = [
            node for node, launcher in last.items() if self._said(node, launcher) and self._heard[node].word.leaving
        ]
        return max(self._fewest, self._usual - len(left))

    def _said(self, node: int, launcher: str) -> bool:
        return self._heard[node].word.launcher == launcher

    def _busy(self) -> str:
        running = {node: heard.word.running for node, heard in sorted(self._there().items()) if heard.word.running}
        return f"node {_listed(list(running))} to end attempt {max(running.values())}" if running else ""

    def _anyone_rests(self) -> bool:
        return self._rests or any(self._heard[node].word.rests for node in self._attempt.members)

    def _wish_of(self, node: int) -> Wish:
        heard = self._heard[node]
        if not self._said(node, self._attempt.members[node]) or self._silent(heard):
            return Wish.NOW
        outcome = self._outcome(node)
        if outcome in ("failed", "lost"):
            return Wish.SOON
        if outcome == "stopped":
            return Wish.GOING if heard.word.leaving else Wish.SAVE
        return Wish.NOTHING

    def _outcome(self, node: int) -> str:
        word = self._heard[node].word
        ended = word.leader == self._launcher and word.ended == self._attempt.number
        ours = ended and self._said(node, self._attempt.members[node])
        return word.outcome if ours else ""

    def _there(self) -> dict[int, _Heard]:
        return {
            node: heard for node, heard in self._heard.items() if not heard.word.leaving and not self._silent(heard)
        }

    def _silent(self, heard: _Heard) -> bool:
        return time.monotonic() - heard.at > self._lost_seconds


def _listed(nodes: list[int]) -> str:
    """At most five of them."""
    return ", ".join(map(str, nodes[:5])) + (" and more" if len(nodes) > 5 else "")
