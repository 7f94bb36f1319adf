"""Telling a hang from a slow step, by the ranks' heartbeats."""

import math
import time
from collections import deque
from pathlib import Path
from statistics import quantiles
from typing import Literal

from trainyard_launcher.gang.wish import NoPeers, Peers
from trainyard_launcher.processes import is_alive
from trainyard_launcher.runtime import read_heartbeats, read_pids

LEAST_SECONDS = 60.0
START_SECONDS = 1800.0  # a large checkpoint is loaded, and a network compiled, before the first step
USUAL_STEPS = 20  # as many of the slowest usual steps may pass without one
_REMEMBERED = 200


class HangWatch:
    """Watches the newest beat of any rank: ranks wait for each other, so one that hangs stops them all.

    `seconds` "auto": max(60 s, 20 times the slowest usual step), where usual means 95 of 100; an integer: that long.
    Ranks that have ended aren't waited for; while one rests, here or on another node, nobody is: they may wait for it.
    Nothing is a hang before the first beat, so a program without heartbeats is never taken for hung; unless ranks are
    sure to beat within `start_seconds`.
    """

    def __init__(
        self,
        runtime: Path,
        seconds: Literal["auto"] | int,
        *,
        patience: float = 1.0,
        start_seconds: float | None = None,
        peers: Peers | None = None,
    ) -> None:
        """`patience` lengthens what isn't given by people: a job that was taken for hung before may just be slow.

        `peers`: the other nodes, which are told of rest here and asked for theirs.
        """
        self._runtime = runtime
        self._seconds = seconds
        self._patience = patience
        self._steps: deque[float] = deque(maxlen=_REMEMBERED)
        self._start_seconds = start_seconds
        self._began = math.inf  # time.monotonic() when the first rank was there
        self._last: tuple[int, float] | None = None
        self._rested = -math.inf  # time.monotonic() when a rank was last known to rest
        self._seen: set[int] = set()
        self._peers = peers or NoPeers()

    @property
    def heard(self) -> bool:
        """Whether any rank has sent a heartbeat."""
        return bool(self._seen)

    def limit(self) -> float:
        """Seconds without a beat that are a hang, as things are now."""
        if self._seconds != "auto":
            return float(self._seconds)
        usual = quantiles(self._steps, n=20)[-1] if len(self._steps) >= 2 else 0.0
        return max(LEAST_SECONDS, USUAL_STEPS * usual) * self._patience

    def hung(self) -> str | None:
        """What hangs, in one sentence; None if nothing does."""
        heard = read_heartbeats(self._runtime)
        self._seen |= heard.keys()
        living = {rank for rank, pid in read_pids(self._runtime).items() if is_alive(pid)}
        if self._peers.rest(here=bool((self._seen & living) - heard.keys())):
            self._rested = time.monotonic()
            return None
        if not self._seen:
            return self._not_started(bool(living))
        beats = {rank: beat for rank, beat in heard.items() if rank in living}
        if not beats:
            return None
        newest = max(beats.values(), key=lambda beat: beat[1])
        if self._last and newest[0] > self._last[0]:
            self._steps.append((newest[1] - self._last[1]) / (newest[0] - self._last[0]))
        self._last = newest
        silent = time.monotonic() - max(newest[1], self._rested)
        if silent <= self.limit():
            return None
        rank, (step, _) = min(beats.items(), key=lambda item: item[1])
        return f"no rank has done a step for {silent:.0f} s; rank {rank} is furthest behind, at step {step}"

    def _not_started(self, living: bool) -> str | None:
        if self._start_seconds is None or not living:
            return None
        now = time.monotonic()
        self._began = min(self._began, now)
        if now - max(self._began, self._rested) <= max(self._start_seconds * self._patience, self.limit()):
            return None
        return f"no rank has done its first step within {now - self._began:.0f} s"
