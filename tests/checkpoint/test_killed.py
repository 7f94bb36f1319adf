"""A process killed by SIGKILL at any moment of saving leaves nothing that loads wrong, and loses at most two saves."""

import multiprocessing
import random
import time
from multiprocessing.connection import Connection
from pathlib import Path

from support.saving import save_until_killed

ATTEMPTS = 12


def test_killed_at_any_moment_it_never_loads_wrong(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    chance = random.Random(seed)
    context = multiprocessing.get_context("forkserver")  # one import of torch for all attempts
    context.set_forkserver_preload(["trainyard_trainer.checkpoint"])
    newest = 0
    for attempt in range(1, ATTEMPTS + 1):
        reports, theirs = context.Pipe(duplex=False)
        process = context.Process(target=save_until_killed, args=(str(tmp_path), attempt, theirs))
        process.start()
        theirs.close()
        step, skipped = reports.recv()
        # A save returns when the upload before it is done, and that began when the one before was committed.
        assert newest - 2 <= step <= newest + 1  # the last one may be whole, and not yet reported
        assert skipped == []  # what was committed is whole
        newest = step
        for _ in range(chance.randrange(6)):
            newest, _ = reports.recv()
        deadline = time.monotonic() + chance.random() * 0.03  # a moment inside a save, whichever it is
        while time.monotonic() < deadline:
            pass
        process.kill()
        process.join()
        newest = max([newest, *_remaining(reports)])


def _remaining(reports: Connection) -> list[int]:
    """Steps reported up to the end of the process; reported steps are saved, later ones may be."""
    steps = []
    try:
        while True:
            steps.append(reports.recv()[0])
    except EOFError:
        return steps
