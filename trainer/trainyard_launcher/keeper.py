"""Runs one command for the launcher and sees to it that nothing of it is left over: `... keeper COMMAND [ARGUMENT...]`.

When standard input ends, because the launcher closed it or died in whatever way, every descendant is killed. When the
command ends, what it left running is killed too. Exits with the command's code, 128 + n if signal n ended it. It leaves
no zombies: in a pod they would fall to the launcher, which is process 1, and stay until the pod ends.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading

from trainyard_launcher.processes import adopt_orphans, die_with_parent, kill_descendants

_REAP_SECONDS = 5  # a process that the kernel holds can't be waited for


def main() -> int:
    """Run the command in sys.argv."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # not ignored: that would be inherited
    adopt_orphans()
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
    reaped = threading.Event()
    threading.Thread(target=_kill_at_end_of_input, args=[reaped], daemon=True).start()
    code = child.wait()
    kill_descendants(os.getpid())
    _reap()
    reaped.set()
    return code if code >= 0 else 128 - code


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue


def _kill_at_end_of_input(reaped: threading.Event) -> None:
    while os.read(0, 1):
        continue
    kill_descendants(os.getpid())
    reaped.wait(_REAP_SECONDS)
    os._exit(128 + signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
