"""Node 0 answers the other nodes: JSON over HTTP on the rendezvous port."""

from pydantic import ValidationError

from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_launcher.gang.documents import Word
from trainyard_launcher.gang.gang import Gang, NotOurs
from trainyard_launcher.serving import SmallHandler, SmallServer

_MOST_BYTES = 64 * 1024


def serve_gang(gang: Gang, address: str, port: int) -> SmallServer:
    """Answer on `port` of `address` until the server is closed. Raises TrainyardError if the port is taken."""

    class GangHandler(SmallHandler):
        def do_POST(self) -> None:
            """Take a Word, answer an Order."""
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) > _MOST_BYTES:
                self.answer(413)
                return
            try:
                order = gang.answer(Word.model_validate_json(self.rfile.read(int(length))))
            except (ValidationError, NotOurs):
                self.answer(400)
                return
            self.answer(200, order.model_dump_json().encode())

    try:
        return SmallServer(address, port, GangHandler)
    except OSError as error:
        raise TrainyardError(
            f"The other nodes can't be answered: {error.strerror}.",
            f"{address or '*'}:{port}",
            "Let nothing else use this port on the node; without hostNetwork nothing can.",
            ExitCode.INFRASTRUCTURE,
            "PortTaken",
        ) from error
