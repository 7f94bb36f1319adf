"""Everything that the report shows, read from a run's folder."""

import json
from collections.abc import Iterable
from typing import Any

from trainyard_api.errors import TrainyardError
from trainyard_storage import NotFound, ObjectInfo, Store

CHECKPOINTS_SHOWN = 20


def gather(run: Store) -> dict[str, Any]:
    """The run's documents as one JSON value. What isn't there (yet) is None or empty, never an error.

    Keys: uri, stage (prepare, train, publish, done), job, card, history, trained, evaluation, published, checkpoints.
    """
    committed = run.get_json("data/COMMITTED")
    published = run.get_json("PUBLISHED.json")
    trained = run.get_json("trained/TRAINED.json")
    return {
        "uri": run.uri,
        "stage": _stage(committed, trained, published),
        "job": run.get_json("job.json"),
        "card": run.get_json(f"data/{committed['hash']}/card.json") if committed else None,
        "history": _history(run),
        "trained": trained,
        "evaluation": run.get_json("evaluation.json"),
        "published": published,
        "checkpoints": _checkpoints(run.list("checkpoints/")),
    }


def _stage(committed: Any, trained: Any, published: Any) -> str:
    if published:
        return "done"
    if trained:
        return "publish"
    return "train" if committed else "prepare"


def _history(run: Store) -> list[dict[str, Any]]:
    try:
        lines = run.get("history.jsonl").decode(errors="replace").splitlines()
    except NotFound:
        return []
    try:
        return [json.loads(line) for line in lines if line.strip()]
    except ValueError as error:
        raise TrainyardError(
            f"A line is not JSON: {error}",
            run.url("history.jsonl"),
            "Remove the line: the learning curves then lack its epoch.",
            cause="DataCorrupt",
        ) from error


def _checkpoints(objects: Iterable[ObjectInfo]) -> list[dict[str, Any]]:
    """Committed checkpoints, the newest first: step, bytes, time."""
    sizes: dict[str, int] = {}
    times: dict[str, str] = {}
    for found in objects:
        folder, _, name = found.key.rpartition("/")
        sizes[folder] = sizes.get(folder, 0) + found.size
        if name == "COMMITTED":
            times[folder] = found.modified.isoformat(timespec="seconds")
    steps = {folder: folder.partition("step-")[2].partition("/")[0] for folder in times}
    newest = sorted((folder for folder in times if steps[folder].isdigit()), key=lambda f: int(steps[f]), reverse=True)
    return [
        {"step": int(steps[folder]), "bytes": sizes[folder], "time": times[folder]}
        for folder in newest[:CHECKPOINTS_SHOWN]
    ]
