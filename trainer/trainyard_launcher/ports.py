"""A port for a program that is about to start."""

import errno
import socket
from secrets import choice

# Below those that outgoing connections are given (32768 and above), and Kubernetes' node ports (30000 and above): a
# program takes seconds to start, and nothing may have the port by then. Ours for reports and gangs aren't among them.
_RANGE = range(10_000, 29_000)


def free_port() -> int:
    """A port on which nothing listens, at no address of this machine; every time another one."""
    while True:
        port = choice(_RANGE)
        try:
            with socket.create_server(("", port)):
                return port
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
