"""GET /report: how this node's launcher is, for the operator."""

from collections.abc import Iterator
from contextlib import contextmanager

from trainyard_launcher.account import REPORT_BYTES, Account, report_text
from trainyard_launcher.node import Node
from trainyard_launcher.serving import SmallHandler, SmallServer


@contextmanager
def reporting(account: Account, node: Node) -> Iterator[None]:
    """Answer /report with `account` on the node's report port. Without that port there is no report, and no harm."""

    class ReportHandler(SmallHandler):
        def do_GET(self) -> None:
            """The NodeReport."""
            if self.path.partition("?")[0] == "/report":
                self.answer(200, report_text(account.report(), REPORT_BYTES).encode())
            else:
                self.answer(404)

    everywhere = "::" if ":" in node.address else ""
    try:
        server = SmallServer(everywhere, node.report_port, ReportHandler)
    except OSError as error:
        account.notice(f"No report is served on port {node.report_port}: {error.strerror}")
        yield
        return
    try:
        yield
    finally:
        server.close()
