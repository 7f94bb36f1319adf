"""A terminal of its own for a command: a real one to the command, whose output is kept."""

import contextlib
import os
import pty
import re
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def in_terminal(command: Sequence[str], folder: Path, environ: Mapping[str, str], columns: int = 80) -> tuple[int, str]:
    """Run `command` to its end in a terminal of `columns`. Its exit code, and all it drew, without colours."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    process = subprocess.Popen(
        command, cwd=folder, env=environ, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    drawn = b""
    with contextlib.suppress(OSError):  # Linux ends the reading with EIO, when nobody holds the other side any more
        while piece := os.read(ours, 65536):
            drawn += piece
    os.close(ours)
    return process.wait(), _ESCAPES.sub("", drawn.decode())
