"""Which pod of a job this is, by the environment that the operator gives its container."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

REPORT_PORT = 9465
RENDEZVOUS_PORT = 29400


@dataclass(frozen=True)
class Node:
    """One of a job's pods."""

    index: int
    host: str  # name of node 0
    address: str  # of this one; empty: not told
    restarts: int  # in place, after faults of the program, before this pod was made
    report_port: int

    @property
    def leads(self) -> bool:
        """Whether this is node 0, which runs every stage and says who takes part."""
        return self.index == 0


def this_node(environ: Mapping[str, str] = os.environ) -> Node | None:
    """The node that the environment names; None on one machine, where there is no TRAINYARD_NODE_INDEX."""
    index = environ.get("TRAINYARD_NODE_INDEX")
    if index is None:
        return None
    return Node(
        index=int(index),
        host=environ.get("TRAINYARD_RENDEZVOUS_HOST", ""),
        address=environ.get("POD_IP", ""),
        restarts=int(environ.get("TRAINYARD_RESTARTS") or 0),
        report_port=int(environ.get("TRAINYARD_REPORT_PORT") or REPORT_PORT),
    )
