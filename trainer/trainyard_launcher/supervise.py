"""Watching one process tree from its start to its end."""

import math
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trainyard_launcher.deadline import Deadline
from trainyard_launcher.gang.wish import NoPeers, Peers, Wish
from trainyard_launcher.hang import HangWatch
from trainyard_launcher.interruption import Interruption
from trainyard_launcher.logs import Follower, tail
from trainyard_launcher.observer import Observer
from trainyard_launcher.processes import Tree, is_alive, send
from trainyard_launcher.rank import rank_log
from trainyard_launcher.runtime import read_notices, read_pids, read_progress
from trainyard_launcher.torchrun import failure_noticed

TICK = 0.1
PEERS_SECONDS = 5.0  # what the others get to end by themselves, once one rank has failed
SOON_SECONDS = 3.0  # the same, where another node has told of its end
SAVE_SECONDS = 1800.0  # a large checkpoint takes its time on slow storage; where nobody has to go, it has it
STACKS_SECONDS = 3.0


@dataclass(frozen=True)
class Ending:
    """How a tree ended: its exit code, or what hung so that it had to be killed."""

    code: int
    hung: str | None = None
    dead: tuple[int, ...] = ()  # ranks that had failed when that was first noticed
    wished: bool = False  # whether other nodes wanted the end before any rank here had failed


class Supervisor:
    """Follows the logs, passes signals on, and notices hangs and half-dead gangs."""

    def __init__(
        self,
        tree: Tree,
        runtime: Path,
        stage: str,
        *,
        watch: HangWatch,
        deadline: Deadline,
        interruption: Interruption,
        observer: Observer,
        grace_seconds: float,
        peers: Peers | None = None,
    ) -> None:
        """`grace_seconds`: how long ranks have to save a checkpoint after a signal, or after `deadline`."""
        self._tree = tree
        self._runtime = runtime
        self._stage = stage
        self._watch = watch
        self._deadline = deadline
        self._interruption = interruption
        self._observer = observer
        self._grace = grace_seconds
        self._peers = peers or NoPeers()
        self._wish = Wish.NOTHING
        self._wished_at = math.inf
        self._heard = False
        self._follower = Follower(runtime / "logs", stage)
        self._told: set[int] = set()
        self._noticed = 0
        self._failed_at: float | None = None
        self._dead: tuple[int, ...] = ()

    def run(self) -> Ending:
        """Return when the tree has ended, with everything it started."""
        hang = None
        while not self._tree.wait(TICK):
            self._report()
            self._hear_peers()
            if self._interruption.count or self._deadline.passed() or self._wish in (Wish.SAVE, Wish.GOING):
                self._pass_on()
            elif self._wish is Wish.NOTHING and (hang := self._watch.hung()):
                self._dump_stacks()  # but a node that was frozen itself hears of others first, and that's no hang
            if hang or self._insisted() or self._half_dead() or self._bereft():
                self._tree.kill()
        self._report(to_the_end=True)
        wished = self._wish is not Wish.NOTHING and self._failed_at is None
        return Ending(self._tree.poll() or 0, hang, self._dead, wished)

    def _hear_peers(self) -> None:
        wish = self._peers.wish()
        if wish is not self._wish:
            self._wish, self._wished_at = wish, time.monotonic()

    def _bereft(self) -> bool:
        """Whether other nodes want the end, and the ranks here had their time."""
        seconds = {
            Wish.NOTHING: math.inf,
            Wish.SAVE: SAVE_SECONDS,
            Wish.GOING: self._grace,
            Wish.SOON: SOON_SECONDS,
            Wish.NOW: 0.0,
        }
        return time.monotonic() >= self._wished_at + seconds[self._wish]

    def _report(self, *, to_the_end: bool = False) -> None:
        for rank, line in self._follower.lines(to_the_end=to_the_end):
            self._observer.line(rank, line)
        notices = read_notices(self._runtime)
        for notice in notices[self._noticed :]:
            self._observer.notice(notice)
        self._noticed = len(notices)
        if progress := read_progress(self._runtime):
            self._observer.progress(progress)
        if self._watch.heard and not self._heard:
            self._heard = True
            self._observer.heartbeats()

    def _pass_on(self) -> None:
        """Tell each rank once, by itself: torchrun would kill the helpers of a rank along with telling it."""
        pids = read_pids(self._runtime)
        for pid in set(pids.values()) - self._told:
            send(pid, signal.SIGTERM)
        self._told |= set(pids.values())
        if not self._told:  # no rank has begun: there is nothing to save
            self._tree.kill()

    def _insisted(self) -> bool:
        asked = self._interruption
        since = min(asked.since if asked.count else math.inf, self._deadline.at)
        return asked.count > 1 or time.monotonic() > since + self._grace

    def _half_dead(self) -> bool:
        """Whether a rank has failed, and the others had their time: they may wait for it in a collective.

        What fails once another node wanted the end, fails for that.
        """
        if self._failed_at is None and self._wish is Wish.NOTHING and self._a_rank_failed():
            self._failed_at = time.monotonic()
        return self._failed_at is not None and time.monotonic() > self._failed_at + PEERS_SECONDS

    def _a_rank_failed(self) -> bool:
        self._dead = tuple(rank for rank, pid in read_pids(self._runtime).items() if not is_alive(pid))
        return bool(self._dead) or failure_noticed(tail(self._runtime / "logs" / "torchrun.log"))

    def _dump_stacks(self) -> None:
        pids = {rank: pid for rank, pid in read_pids(self._runtime).items() if is_alive(pid)}
        logs = {rank: rank_log(self._runtime, self._stage, rank) for rank in pids}
        sizes = {rank: log.stat().st_size for rank, log in logs.items()}
        for pid in pids.values():
            send(pid, signal.SIGUSR1)
        _wait(lambda: all(logs[rank].stat().st_size > size for rank, size in sizes.items()), STACKS_SECONDS)


def _wait(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
