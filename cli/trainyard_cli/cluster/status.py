"""`trainyard status`: one screen that says how a job goes, and why."""

import argparse
import sys

from trainyard_api.errors import ExitCode
from trainyard_cli.cluster import connection
from trainyard_cli.cluster.commands import command
from trainyard_cli.cluster.connection import Cluster, Object, connected
from trainyard_cli.cluster.events import event_time
from trainyard_cli.cluster.jobs import find_job, pods_of
from trainyard_cli.cluster.screen import screen

_EVENTS = 6
_TROUBLED_PODS = 8  # whose events are asked for, each by a request


def main(args: argparse.Namespace) -> int:
    """Print the screen."""
    with connected(args) as cluster:
        job = find_job(cluster, args.name)
        pods = pods_of(cluster, args.name)
        events = _events(cluster, job, pods)
    words = {name: f"`{command(name, args)}`" for name in ("logs", "resume")}
    words["follow"] = f"`{command('logs', args, '-f')}`"
    words["again"] = f"`{command('delete', args)}`, and submit it anew"
    sys.stdout.write(screen(job, pods, events, words))
    return ExitCode.OK


def _events(cluster: Cluster, job: Object, pods: list[Object]) -> list[Object]:
    """The last events of the job, and of pods that don't run."""
    troubled = [pod for pod in pods if (pod.get("status") or {}).get("phase") not in ("Running", "Succeeded")]
    found: list[Object] = []
    for each in [job, *troubled[:_TROUBLED_PODS]]:
        selector = f"involvedObject.uid={each['metadata']['uid']}"
        listed = cluster.get(connection.core(cluster.namespace, "events"), fieldSelector=selector)
        found += listed.get("items") or []
    return sorted(found, key=event_time)[-_EVENTS:]
