"""The logs of the ranks: followed while they're written, their last lines, and their copies in storage."""

from collections.abc import Iterable
from pathlib import Path

from trainyard_api.errors import TrainyardError
from trainyard_storage import Store

_TAIL = 64 * 1024
LINES = 10


class Follower:
    """Reads what has been added to the logs of one stage."""

    def __init__(self, folder: Path, stage: str) -> None:
        """Begins at the logs' present ends."""
        self._folder, self._stage = folder, stage
        self._places = {path: path.stat().st_size for path in self._paths()}

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob(f"{self._stage}-rank-*.log"))

    def lines(self, *, to_the_end: bool = False) -> list[tuple[int, str]]:
        """(rank, line) of every line completed since the last call; `to_the_end`: the last may lack its newline."""
        found = []
        for path in self._paths():
            place = self._places.get(path, 0)
            with path.open("rb") as file:
                file.seek(place)
                content = file.read()
            end = len(content) if to_the_end else content.rfind(b"\n") + 1
            self._places[path] = place + end
            rank = int(path.stem.rpartition("-")[2])
            found += [(rank, line) for line in content[:end].decode(errors="replace").splitlines()]
        return found


def last_lines(path: Path, count: int = LINES) -> list[str]:
    """The last lines of a log that aren't empty, each cut at 300 characters; none if there is no such file."""
    return [line[:300] for line in tail(path).splitlines() if line.strip()][-count:]


def tail(path: Path) -> str:
    """The last 64 KiB of a file; empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def upload_logs(store: Store, folder: Path, stage: str, attempt: int, ranks: Iterable[int], node: int) -> str | None:
    """Copy the logs of one attempt of one node to logs/<attempt>/: of its ranks alone, since others may have left
    theirs here before. Returns what went wrong, if anything: it must not hide how the job ended.

    Logs of ranks have names of their own; those of other nodes' agents get the node's number.
    """
    copies = {f"{stage}-rank-{rank:05d}.log": f"{stage}-rank-{rank:05d}.log" for rank in ranks}
    for agent in ("torchrun", stage):
        copies[f"{agent}.log"] = f"{agent}-node-{node:05d}.log" if node else f"{agent}.log"
    try:
        for name, copy in copies.items():
            path = folder / name
            if path.exists() and path.stat().st_size:
                store.upload(path, f"logs/{attempt:05d}/{copy}")
    except (TrainyardError, OSError) as error:
        return f"The logs can't be copied to storage: {error}"
    return None
