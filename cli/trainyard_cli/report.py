"""`trainyard report`: how a run went, or goes, as one page."""

import argparse
import signal
import sys
from pathlib import Path
from threading import Event

from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_storage import Store, open_store
from trainyard_trainer.report import gather, render
from trainyard_trainer.report.live import watching


def main(args: argparse.Namespace) -> int:
    """Write the page, or serve it live until Ctrl-C."""
    run = find_run(open_store(args.uri), args.uri)
    if args.watch:
        return _watch(run)
    output = Path(args.output or "report.html")
    try:
        output.write_text(render(gather(run)), encoding="utf-8")
    except OSError as error:
        raise TrainyardError(
            f"The report can't be written: {error.strerror}.", str(output), "name another file with -o"
        ) from error
    sys.stdout.write(f"{output}\n")
    return ExitCode.OK


def find_run(store: Store, uri: str) -> Store:
    """The run at `uri`: the folder itself, or the newest run of a job's folder.

    :raises TrainyardError: there is none
    """
    newest: dict[str, str] = {}
    for found in store.list(""):
        folder, _, name = found.key.rpartition("/")
        if name in ("job.json", "history.jsonl", "PUBLISHED.json") and folder.count("/") <= 2:
            newest[folder] = max(newest.get(folder, ""), found.modified.isoformat())
    if not newest:
        raise TrainyardError(
            "There is no run.",
            uri,
            "name the folder that `trainyard run` printed: .../<namespace>/<job>/<run>",
            cause="RunMissing",
        )
    folder = max(newest, key=lambda name: (name == "", newest[name]))
    return store.child(folder) if folder else store


def _watch(run: Store) -> int:
    ended = Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with watching(run) as url:
        sys.stdout.write(f"{url} shows {run.uri} and follows it. Ctrl-C ends.\n")
        sys.stdout.flush()
        try:
            ended.wait()
        except KeyboardInterrupt:
            return ExitCode.INTERRUPTED
    return ExitCode.OK
