"""A job `digits` of two nodes in each of its phases."""

from collections.abc import Callable

from support.cluster import Namespace


def pending(space: Namespace) -> None:
    space.created("digits")


def running(space: Namespace) -> None:
    space.run_all("digits")


def restarting(space: Namespace) -> None:
    space.run_all("digits")
    space.core.delete_namespaced_pod("digits-1", space.name)
    space.when("digits", phase="Restarting")


def suspending(space: Namespace) -> None:
    space.run_all("digits")
    space.patch("digits", suspend=True)
    space.when("digits", phase="Suspending")


def complete(space: Namespace) -> None:
    space.run_all("digits")
    for pod in ("digits-1", "digits-0"):
        space.end(pod)
    space.when("digits", phase="Complete")


def failed(space: Namespace) -> None:
    space.run_all("digits")
    space.end("digits-1", 2, "no such column")
    space.when("digits", phase="Failed")


LIVE: list[Callable[[Namespace], None]] = [pending, running, restarting, suspending]
ENDED: list[Callable[[Namespace], None]] = [complete, failed]
