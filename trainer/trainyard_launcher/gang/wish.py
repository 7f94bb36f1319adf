"""What the other nodes want of the ranks that run here."""

from enum import Enum
from typing import Protocol


class Wish(Enum):
    """Ordered by haste."""

    NOTHING = "nothing"
    SAVE = "save"  # a checkpoint, however long it takes, then the end: nodes come or go
    GOING = "going"  # the same, but a node has gone, and the grace period is all there is
    SOON = "soon"  # the end: it can't go on, but ranks may have something to say first
    NOW = "now"  # the end: somebody is gone without a word


class Peers(Protocol):
    """The other nodes of an attempt."""

    def wish(self) -> Wish:
        """What they want now."""

    def rest(self, *, here: bool) -> bool:
        """Tell them whether a rank rests here; whether one does anywhere."""


class NoPeers:
    """One node has none."""

    def wish(self) -> Wish:
        """Nothing."""
        return Wish.NOTHING

    def rest(self, *, here: bool) -> bool:
        """Only those here can."""
        return here
