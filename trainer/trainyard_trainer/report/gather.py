"""Everything that the report shows, read from a run's folder."""

import json
from collections.abc import Iterable
from typing import Any

from trainyard_api.errors import TrainyardError
from trainyard_launcher.stages import FINISHED
from trainyard_storage import NotFound, ObjectInfo, Store

CHECKPOINTS_SHOWN = 20
ROWS_SHOWN = 2000  # of the history, of each kind: a program may log a million steps


def gather(run: Store) -> dict[str, Any]:
    """The run's documents as one JSON value. What isn't there (yet) is None or empty, never an error.

    Keys: uri, stage (prepare, train, publish, script, done), job, machine, times, card, history, trained, evaluation,
    published, checkpoints.
    """
    job = run.get_json("job.json")
    committed = run.get_json("data/COMMITTED")
    published = run.get_json("PUBLISHED.json")
    trained = run.get_json("trained/TRAINED.json")
    spec = (job or {}).get("spec", {})
    if spec.get("recipe") is not None:
        stage = "done" if published else _recipe_stage(committed, trained)
    else:  # a program of one's own; without a launcher there is no job.json either
        stage = "done" if run.head(FINISHED) else _script_stage(spec.get("script"), committed)
    return {
        "uri": run.uri,
        "stage": stage,
        "job": job,
        "machine": run.get_json("machine.json"),
        "times": run.get_json("times.json"),
        "card": run.get_json(f"data/{committed['hash']}/card.json") if committed else None,
        "history": _thinned(_history(run)),
        "trained": trained,
        "evaluation": run.get_json("evaluation.json"),
        "published": published,
        "checkpoints": _checkpoints(run.list("checkpoints/")),
    }


def _recipe_stage(committed: Any, trained: Any) -> str:
    if trained:
        return "publish"
    return "train" if committed else "prepare"


def _script_stage(script: Any, committed: Any) -> str:
    return "prepare" if script and script.get("data") and not committed else "script"


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


def _thinned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every row, or every n-th of those with the same metrics, so that what is logged rarely stays whole."""
    alike: dict[frozenset[str], list[int]] = {}
    for place, row in enumerate(rows):
        alike.setdefault(frozenset(row), []).append(place)
    kept = {place for places in alike.values() for place in [*places[:: 1 + len(places) // ROWS_SHOWN], places[-1]]}
    return [rows[place] for place in sorted(kept)]


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
