"""`trainyard init`: look at a data set and write a manifest that trains on it."""

import argparse
import os
import shlex
import sys
from pathlib import Path

from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_api.resolve import absolute
from trainyard_cli.draft import draft
from trainyard_cli.survey import Survey, survey


def main(args: argparse.Namespace) -> int:
    """Write the manifest to `args.output`, by default job.yaml beside the data. Nothing is overwritten."""
    remote = "://" in args.data
    data = args.data.rstrip("/") if remote else str(Path(args.data).resolve())
    if not remote and not Path(data).exists():
        raise TrainyardError("there is no such file or folder", args.data, "check DATA", cause="NoData")
    output = Path(args.output) if args.output else Path("job.yaml") if remote else Path(data).parent / "job.yaml"
    _check_free(output)
    found = survey(absolute(data, Path.cwd()), args.target)
    uri = data if remote else os.path.relpath(data, output.resolve().parent)
    _write(output, draft(found, uri, data.rpartition("/")[2]))
    _say(found, os.path.relpath(output) if output.resolve().is_relative_to(Path.cwd()) else str(output))
    return ExitCode.OK


def _write(output: Path, text: str) -> None:
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        _check_free(output)
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        raise TrainyardError(f"the manifest can't be written: {said}", str(output), "choose another -o FILE") from error


def _check_free(output: Path) -> None:
    if output.exists():
        remedy = "remove it, or name another file with -o FILE"
        raise TrainyardError("the manifest is there already", str(output), remedy)


def _say(found: Survey, shown: str) -> None:
    samples = f"{found.rows} samples{' and more' if found.more else ''}"
    inputs = f"{len(found.inputs)} input{'s' * (len(found.inputs) > 1)}"
    sys.stdout.write(f"{shown}: {found.task}, {samples}, {inputs}\n")
    sys.stdout.write(f"Look through it, then: trainyard run {shlex.quote(shown)}\n")
