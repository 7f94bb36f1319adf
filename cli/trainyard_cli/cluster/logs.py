"""`trainyard logs`: what the ranks of a job print, of all nodes in one stream."""

import argparse
import heapq
import sys
from collections.abc import Iterable, Iterator

from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_cli.cluster.connection import Cluster, Object, connected
from trainyard_cli.cluster.following import Following
from trainyard_cli.cluster.jobs import (
    CONTAINER,
    FINISHED,
    explanation,
    find_job,
    index_of,
    phase_of,
    pods_of,
    several_nodes,
)
from trainyard_cli.cluster.place import storage_of, stored_at
from trainyard_cli.cluster.pod_log import Line, PodLog
from trainyard_cli.cluster.pods import has_started, state_of


def main(args: argparse.Namespace) -> int:
    """Print the logs; with `args.follow` until the job ends."""
    with connected(args) as cluster:
        job = find_job(cluster, args.name)
        pods = [pod for pod in pods_of(cluster, args.name) if args.node in (None, index_of(pod))]
        begun = [pod for pod in pods if has_started(pod, CONTAINER)]
        if not begun and (phase_of(job) in FINISHED or not args.follow):
            _print_kept(cluster, job, pods, args.node)
        elif args.follow:
            following = Following(cluster, job, args.node)
            _print(following.lines(), following, prefixed=several_nodes(job))
            job = _last(cluster, args.name, job)
            sys.stderr.write(f"{args.name}: {explanation(job)}\n")
        else:
            for pod in pods:
                if pod not in begun:
                    sys.stderr.write(f"node {index_of(pod)} has no log yet: {state_of(pod, CONTAINER)}\n")
            merged = heapq.merge(*(_whole(cluster, pod) for pod in begun), key=lambda line: line.moment)
            _print(merged, None, prefixed=several_nodes(job))
    return ExitCode.OK


def _print(lines: Iterable[Line], following: Following | None, *, prefixed: bool) -> None:
    """Each line comes with its rank already; where there are several nodes, the node goes before it."""
    for line in lines:
        sys.stdout.write(f"[node {line.node}] {line.text}\n" if prefixed else f"{line.text}\n")
        if following and following.idle():
            sys.stdout.flush()


def _whole(cluster: Cluster, pod: Object) -> Iterator[Line]:
    """A pod's log as far as it goes now; after a broken connection it goes on where it was."""
    from urllib3.exceptions import HTTPError

    log = PodLog(cluster, pod)
    for last in (False, False, True):
        try:
            yield from log.lines(follow=False)
            yield from log.tail()
            return
        except HTTPError:
            if last:
                raise


def _last(cluster: Cluster, name: str, job: Object) -> Object:
    """The job as it is now; as it was, if it's gone."""
    try:
        return find_job(cluster, name)
    except TrainyardError:
        return {**job, "status": {"phase": "Deleted"}}


def _print_kept(cluster: Cluster, job: Object, pods: list[Object], node: int | None) -> None:
    """There is nothing to ask the cluster for: what object storage holds, or why there is nothing."""
    place = stored_at(cluster, job)
    any_line = False
    if place and not place.startswith("file:"):
        from trainyard_cli.cluster.kept_logs import kept_logs  # object storage costs half a second to import

        for line in kept_logs(place, storage_of(cluster, job)):
            if not any_line and node is not None and several_nodes(job):
                sys.stderr.write(
                    f"The pods are gone; the copies are by rank, not by node: not only node {node}'s follow\n"
                )
            sys.stdout.write(f"{line}\n")
            any_line = True
    if not any_line:
        states = "".join(f"\n  node {index_of(pod)}: {state_of(pod, CONTAINER)}" for pod in pods)
        sys.stderr.write(f"There are no logs yet. {job['metadata']['name']}: {explanation(job)}{states}\n")
