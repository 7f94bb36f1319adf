"""The start of an attempt: ranks begin when the agents of all nodes have met at node 0's store, or never."""

import time
from collections.abc import Callable
from pathlib import Path

from trainyard_api.documents import Fault
from trainyard_api.errors import ExitCode
from trainyard_launcher.gang.wish import Peers, Wish
from trainyard_launcher.runtime import has_begun

UNREACHED = "NodesUnreachable"
LATE_SECONDS = 30.0
MOST_SECONDS = 300.0  # torch may have to be read from a slow disk first


class Muster:
    """Node 0's ear for its peers, which wants the end of an attempt whose agents don't find each other."""

    def __init__(
        self, peers: Peers, runtime: Path, place: str, waiting: Callable[[str], None], patience: float
    ) -> None:
        """`place`: where the agents meet. `waiting` is told what is waited for, once that takes long.

        `patience` lengthens the limit: agents that didn't come to meet before may just be slow.
        """
        self._peers, self._runtime, self._place, self._waiting = peers, runtime, place, waiting
        self._limit = MOST_SECONDS * patience
        self._began = time.monotonic()
        self._told = self._over = False
        self.fault: Fault | None = None

    def wish(self) -> Wish:
        """The end, if no rank has begun for so long."""
        if not self._over and self.fault is None:
            self._look()
        return Wish.NOW if self.fault else self._peers.wish()

    def rest(self, *, here: bool) -> bool:
        """As the peers say."""
        return self._peers.rest(here=here)

    def _look(self) -> None:
        seconds = time.monotonic() - self._began
        self._over = has_begun(self._runtime)
        if self._over and self._told:
            self._waiting("")
        elif not self._over and seconds > self._limit:
            self.fault = self._unreached(seconds)
        elif not self._over and seconds > LATE_SECONDS and not self._told:
            self._told = True
            self._waiting(f"the nodes to reach each other at {self._place}")

    def _unreached(self, seconds: float) -> Fault:
        return Fault(
            cause=UNREACHED,
            message=f"The nodes can't reach each other at {self._place}: no rank has begun within {seconds:.0f} s.",
            exitCode=ExitCode.INFRASTRUCTURE,
            where=self._place,
            remedy="Let the job's pods reach each other on every port (a NetworkPolicy, a firewall between nodes).",
        )
