"""The duties of a container's first process: to pass signals on, and to bury whoever died without a parent."""

import os
import signal
from collections.abc import Callable

from trainyard_launcher.interruption import SIGNALS


def as_first_process(main: Callable[[], int]) -> int:
    """Run `main` in a child and give its exit code, 128 + n if signal n ended it.

    Signals that ask to stop are passed on to the child. Call it before any thread is started.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # one that comes now waits until somebody hears it
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os._exit(main())
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: os.kill(child, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
