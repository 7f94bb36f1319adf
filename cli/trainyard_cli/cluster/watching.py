"""Watching objects: the whole present state, again and again, over every break of the connection."""

import json
import time
from collections.abc import Iterator

from trainyard_cli.cluster.connection import Cluster, Object
from trainyard_cli.cluster.refusals import Refused

_WATCH_SECONDS = 30
_LATE_SECONDS = 10  # a watch that is this long past its end is dead
_LONGEST_PAUSE = 10.0
_PASSING = (408, 410, 429, 500, 502, 503, 504)

Snapshot = dict[str, Object]
"""Objects by UID."""


def snapshots(cluster: Cluster, path: str, deadline: float | None = None, **selector: str) -> Iterator[Snapshot]:
    """The objects at `path` that `selector` picks: at first, after each change, and every 30 s at the latest.

    Ends at `deadline` (of time.monotonic). The first list must succeed; later the API server may be gone for a while.

    :raises Refused: the first list is refused, or a later one for good
    """
    from urllib3.exceptions import HTTPError

    pause, first = 0.5, True
    while deadline is None or first or time.monotonic() < deadline:
        try:
            for found in _listed_and_watched(cluster, path, deadline, selector):
                yield found
                pause, first = 0.5, False
        except (HTTPError, Refused, ValueError) as error:
            if first or (isinstance(error, Refused) and error.status not in _PASSING):
                raise
            left = pause if deadline is None else min(pause, deadline - time.monotonic())
            time.sleep(max(0.0, left))
            pause = min(_LONGEST_PAUSE, pause * 2)


def _listed_and_watched(
    cluster: Cluster, path: str, deadline: float | None, selector: dict[str, str]
) -> Iterator[Snapshot]:
    """One list, and watches from there on until one breaks."""
    listed = cluster.get(path, **selector)
    objects: Snapshot = {item["metadata"]["uid"]: item for item in listed.get("items") or []}
    version = listed["metadata"]["resourceVersion"]
    yield dict(objects)
    while deadline is None or time.monotonic() < deadline:
        left = _WATCH_SECONDS if deadline is None else min(_WATCH_SECONDS, deadline - time.monotonic())
        query = {
            **selector,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": max(1, round(left)),
        }
        silence = query["timeoutSeconds"] + _LATE_SECONDS
        with cluster.open("GET", path, query, silence=silence) as stream:
            for event in _events(stream.stream(amt=None)):
                version = _apply(objects, event)
                if event["type"] != "BOOKMARK":
                    yield dict(objects)
        yield dict(objects)


def _events(chunks: Iterator[bytes]) -> Iterator[Object]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (json.loads(line) for line in lines if line)


def _apply(objects: Snapshot, event: Object) -> str:
    """Put one event into `objects`; the resource version to go on from."""
    item: Object = event["object"]
    if event["type"] == "ERROR":
        raise Refused(int(item.get("code") or 500), item)
    metadata = item["metadata"]
    if event["type"] == "DELETED":
        objects.pop(metadata["uid"], None)
    elif event["type"] != "BOOKMARK":
        objects[metadata["uid"]] = item
    return str(metadata["resourceVersion"])
