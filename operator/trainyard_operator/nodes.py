"""Whose silence is believed: one node that doesn't answer is lost; when most don't at once, something else is broken.

Perhaps they can't reach the API server, and run on. Kubernetes itself evicts nobody then, either.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from trainyard_operator import clock


class Node(NamedTuple):
    """What is known of a node."""

    silent: bool  # it has stopped reporting; one that reports that something is wrong with it ends its pods itself
    since: datetime | None


Nodes = Mapping[str, Node]


def read_node(node: dict[str, Any]) -> Node:
    """`node` as it came from the API server."""
    conditions = node.get("status", {}).get("conditions") or []
    ready: dict[str, Any] = next((each for each in conditions if each["type"] == "Ready"), {})
    since = clock.parse(ready.get("lastTransitionTime"))
    return Node(ready.get("status") == "Unknown" and since is not None, since)


def silent_since(nodes: Nodes, name: str) -> datetime | None:
    """Since when node `name` has been silent and others weren't; None: it isn't silent, or most are."""
    node = nodes[name]
    if not node.silent or node.since is None or blackout(nodes):
        return None
    back = [each.since for each in nodes.values() if not each.silent and each.since and each.since > node.since]
    silent_too = back and _most(_silent(nodes) + len(back), len(nodes))
    return max(back) if silent_too else node.since  # it may need a moment longer to come back than they did


def blackout(nodes: Nodes) -> bool:
    """Whether most nodes are silent at once."""
    return _most(_silent(nodes), len(nodes))


def _silent(nodes: Nodes) -> int:
    return sum(each.silent for each in nodes.values())


def _most(some: int, of: int) -> bool:
    """All, or three and more than half."""
    return 0 < some == of or (some >= 3 and some > of / 2)
