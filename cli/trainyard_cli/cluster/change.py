"""`trainyard suspend`, `resume` and `delete`."""

import argparse
import sys

from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_cli.cluster import connection
from trainyard_cli.cluster.commands import command
from trainyard_cli.cluster.connection import MANAGER, Cluster, Object, connected
from trainyard_cli.cluster.jobs import FINISHED, find_job, phase_of
from trainyard_cli.cluster.place import stored_at

_MERGE = {"Content-Type": "application/merge-patch+json"}


def main(args: argparse.Namespace) -> int:
    """Change `args.name` as `args.command` says, and say what that means."""
    with connected(args) as cluster:
        job = find_job(cluster, args.name)
        if args.command == "delete":
            said = _delete(cluster, job)
        else:
            said = _suspend(cluster, job, args, suspend=args.command == "suspend")
    sys.stdout.write(f"{said}\n")
    return ExitCode.OK


def _suspend(cluster: Cluster, job: Object, args: argparse.Namespace, *, suspend: bool) -> str:
    if phase_of(job) in FINISHED:
        raise TrainyardError(
            f"{args.name} has ended ({phase_of(job)}): there is nothing to {args.command}",
            f"namespace {cluster.namespace}",
            "delete it and submit it anew to train again",
            cause="JobEnded",
        )
    if bool(job["spec"].get("suspend")) == suspend:
        return f"{args.name} is {'suspended' if suspend else 'not suspended'} already"
    path = connection.jobs(cluster.namespace, args.name)
    cluster.call("PATCH", path, {"fieldManager": MANAGER}, {"spec": {"suspend": suspend}}, _MERGE)
    if suspend:
        return f"{args.name} stops after a checkpoint. Go on with: {command('resume', args)}"
    return f"{args.name} goes on from its newest checkpoint. See: {command('status', args)}"


def _delete(cluster: Cluster, job: Object) -> str:
    name = job["metadata"]["name"]
    # Only this object: one made anew under its name meanwhile stays.
    body = {"preconditions": {"uid": job["metadata"]["uid"]}, "propagationPolicy": "Background"}
    cluster.call("DELETE", connection.jobs(cluster.namespace, name), body=body)
    stored = stored_at(cluster, job)
    kept = f" What it has stored stays: {stored}" if stored else ""
    return f"{name} is deleted, and its pods with it.{kept}"
