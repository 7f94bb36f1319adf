"""The log of one pod, line by line: none lost and none doubled over broken connections."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from trainyard_cli.cluster import connection
from trainyard_cli.cluster.connection import Cluster, Object
from trainyard_cli.cluster.jobs import CONTAINER, index_of

SILENCE = 60.0  # seconds without a line after which a stream is opened anew: the connection may be dead

Moment = tuple[int, str]
"""Seconds since 1970, and the fraction in nine digits."""


@dataclass(frozen=True)
class Line:
    """One line of a node's log."""

    node: int
    moment: Moment
    text: str


class PodLog:
    """What a pod prints. `lines` may be called again and again: it goes on after the last line it gave.

    The API server takes a time in whole seconds to go on from, so the lines of the last seconds come again: they're
    known by time and text. Times aren't quite in order, since a container's two outputs are stamped apart.
    """

    def __init__(self, cluster: Cluster, pod: Object) -> None:
        self._cluster = cluster
        self._path = connection.core(pod["metadata"]["namespace"], "pods", pod["metadata"]["name"], "log")
        self._node = index_of(pod)
        self._recent: deque[tuple[Moment, str]] = deque()
        self._newest = 0
        self._rest = b""

    def lines(self, *, follow: bool) -> Iterator[Line]:
        """Lines not given yet; with `follow` until the container ends or the connection breaks.

        :raises Refused, HTTPError: it can't be read now
        """
        query = {"container": CONTAINER, "timestamps": "true", "follow": "true" if follow else "false"}
        if self._newest:
            query["sinceTime"] = datetime.fromtimestamp(self._newest - 1, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        again = Counter(self._recent)
        self._rest = b""
        with self._cluster.open("GET", self._path, query, silence=SILENCE) as stream:
            for chunk in stream.stream(amt=None):
                *whole, self._rest = (self._rest + chunk).split(b"\n")
                for raw in whole:
                    yield from self._new(raw, again)

    def tail(self) -> Iterator[Line]:
        """The last line, where the program ended without a newline."""
        if self._rest:
            yield from self._new(self._rest, Counter(self._recent))
        self._rest = b""

    def _new(self, raw: bytes, again: Counter[tuple[Moment, str]]) -> Iterator[Line]:
        stamp, _, text = raw.decode(errors="replace").partition(" ")
        moment = _moment(stamp)
        key = (moment, text)
        if again[key]:
            again[key] -= 1
            return
        self._newest = max(self._newest, moment[0])
        self._recent.append(key)
        while self._recent[0][0][0] < self._newest - 1:
            self._recent.popleft()
        yield Line(self._node, moment, text)


def _moment(stamp: str) -> Moment:
    """A time by which lines of all nodes can be sorted. (0, "") if there is none."""
    whole, dot, rest = stamp.partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789"))
    zone = rest[digits:] if dot else ""
    try:
        return int(datetime.fromisoformat(whole + zone).timestamp()), rest[:digits].ljust(9, "0")
    except ValueError:
        return 0, ""
