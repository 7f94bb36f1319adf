"""Logs of a job whose pods are gone: the copies that its launchers left in object storage."""

import sys
from collections.abc import Iterator

from trainyard_api.job import Storage
from trainyard_cli.cluster.place import from_here
from trainyard_storage import Store, open_store


def kept_logs(place: str, storage: Storage) -> Iterator[str]:
    """Lines of the newest run at `place`, attempt by attempt; none if there are no logs."""
    store = open_store(place, from_here(storage))
    for key in _newest(store):
        _, _, attempt, name = key.split("/")
        sys.stderr.write(f"==> attempt {int(attempt)}, {name} ({store.url(key)})\n")
        rank = name.removesuffix(".log").rpartition("-rank-")[2]
        prefix = f"[rank {rank}] " if rank.isdecimal() else ""
        for line in store.get(key).decode(errors="replace").splitlines():
            yield prefix + line


def _newest(store: Store) -> list[str]:
    """<run>/logs/<attempt>/<stage>-rank-<n>.log of the run that was written last."""
    logs = [info for info in store.list() if info.key.count("/") == 3 and info.key.split("/")[1] == "logs"]
    logs = [info for info in logs if info.key.split("/")[2].isdecimal()]
    if not logs:
        return []
    run = max(logs, key=lambda info: info.modified).key.split("/")[0]
    return [info.key for info in logs if info.key.startswith(f"{run}/")]
