"""What goes over the wire between node 0 and another node: nothing that is said silences who says it."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

from support.launched import wait_until
from trainyard_api.documents import Fault
from trainyard_launcher.gang.documents import Order
from trainyard_launcher.gang.gang import Gang
from trainyard_launcher.gang.link import Link
from trainyard_launcher.gang.service import serve_gang
from trainyard_launcher.lead import free_port


def two_nodes() -> Gang:
    return Gang(
        "uid", "file:///run", "leader", fewest=2, most=2, usual=2, lost_seconds=math.inf, shrink_seconds=math.inf
    )


@contextmanager
def linked(gang: Gang) -> Iterator[Link]:
    """Node 1's link to `gang`, which answers on a port of its own."""
    port = free_port()
    server = serve_gang(gang, "127.0.0.1", port)
    try:
        with Link("127.0.0.1", port, "uid", 1, nodes=2, lost_seconds=math.inf) as link:
            yield link
    finally:
        server.close()


def test_a_fault_of_any_length_is_heard() -> None:
    gang = two_nodes()
    long = Fault(
        cause="UserError", message="RuntimeError: sizes differ", exception="x" * 100_000, lastLines=["y" * 9000]
    )
    with linked(gang) as link:
        wait_until(lambda: not gang.waits_for(), "node 1 is heard")
        gang.begin(7, "10.0.0.1", 4711)
        link.end(Order(attempt=7, leader="leader"), "failed", long)
        heard = wait_until(lambda: gang.blame().fault, "why node 1 failed is heard")
        assert heard.message == long.message
        assert heard.exception.startswith("xxx")
    assert link.trouble == ""
