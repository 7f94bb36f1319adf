"""Attempts at a run: each has a number, and on one machine there is one at a time."""

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_storage import Store


def begin_attempt(store: Store, after: int | None = None) -> int:
    """Take the next number, by writing `attempts/<n>`; whoever else wants the same one gets the next.

    `after`: the number that the caller had before, if any. Raises TrainyardError if somebody else has had one since:
    then the caller has been replaced while it was out of reach, and must not take the run back.
    """
    newest = _newest(store)
    if after is not None and newest > after:
        raise replaced(store.uri)
    attempt = newest + 1
    who = {"host": platform.node(), "pid": os.getpid(), "time": datetime.now(UTC).isoformat(timespec="seconds")}
    while True:
        try:
            store.put_json(f"attempts/{attempt:05d}", who, if_absent=True)
        except FileExistsError:
            attempt += 1
        else:
            return attempt


def still_ours(store: Store, attempt: int | None = None) -> None:
    """Call it before writing what others will go by. Raises TrainyardError if a newer attempt than `attempt` has begun.

    `attempt` absent: the one for which a launcher has started this process, if one has.
    """
    own = int(os.environ.get("TRAINYARD_ATTEMPT", "0")) if attempt is None else attempt
    if own and _newest(store) > own:
        raise replaced(store.uri)


def _newest(store: Store) -> int:
    names = [info.key.rpartition("/")[2] for info in store.list("attempts/")]
    # A killed preflight leaves its own file there.
    return max((int(name) for name in names if name.isdecimal()), default=0)


def replaced(where: str) -> TrainyardError:
    """Another launcher has taken this one's place."""
    return TrainyardError(
        "Another launcher has taken over the work of this one.",
        where,
        "Nothing: the other goes on. This one was out of reach, and ends.",
        ExitCode.INFRASTRUCTURE,
        "Fenced",
    )


@contextmanager
def only_one(folder: Path, what: str) -> Iterator[None]:
    """Hold the lock file in `folder`; the system lets go of it however this process ends.

    Raises TrainyardError if another process holds it.
    """
    path = folder / "running.lock"
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise TrainyardError(
                f"The same job runs already, as process {file.read().strip() or '(unknown)'}.",
                what,
                "Wait for it or stop it; this command then goes on where it was.",
                ExitCode.FAILED,
                "AlreadyRunning",
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
