"""`trainyard wait`: for a job to be so far, or for it to be certain that it won't be."""

import argparse
import sys
import time

from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_cli.cluster import connection
from trainyard_cli.cluster.commands import command
from trainyard_cli.cluster.connection import Object, connected
from trainyard_cli.cluster.jobs import FINISHED, explanation, find_job, phase_of, status_of
from trainyard_cli.cluster.watching import snapshots


def main(args: argparse.Namespace) -> int:
    """Exit code 0 when the goal is reached, 1 when it can't be any more or the time is over."""
    deadline = None if args.timeout is None else time.monotonic() + args.timeout
    with connected(args) as cluster:
        try:
            last = find_job(cluster, args.name)
        except TrainyardError as error:
            if args.goal == "deleted" and error.cause == "NotFound":
                return _end(args, None, reached=True)
            raise
        uid, path = last["metadata"]["uid"], connection.jobs(cluster.namespace)
        for found in snapshots(cluster, path, deadline, fieldSelector=f"metadata.name={args.name}"):
            job = found.get(uid)
            if (reached := _outcome(job, args.goal)) is not None:
                return _end(args, job, reached=reached)
            last = job or last
    sys.stderr.write(f"{args.name} isn't {args.goal} after {args.timeout} s; {explanation(last)}\n")
    sys.stderr.write(f"  see: {command('status', args)}\n")
    return ExitCode.FAILED


def _outcome(job: Object | None, goal: str) -> bool | None:
    """Whether the goal is reached; None while that is open. A job that is gone (None) is deleted and nothing else."""
    if job is None:
        return goal == "deleted"
    if goal == "deleted":
        return None
    if status_of(job).get("observedGeneration") != job["metadata"].get("generation"):
        return None  # what the status says is about an older spec
    phase = phase_of(job)
    if phase == {"complete": "Complete", "running": "Running", "suspended": "Suspended"}[goal]:
        return True
    if goal == "running" and phase == "Complete":
        return True  # it was so between two looks
    return False if phase in FINISHED else None


def _end(args: argparse.Namespace, job: Object | None, *, reached: bool) -> int:
    said = f"{args.name} is deleted" if job is None else f"{args.name}: {explanation(job)}"
    (sys.stdout if reached else sys.stderr).write(f"{said}\n")
    return ExitCode.OK if reached else ExitCode.FAILED
