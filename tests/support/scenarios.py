"""What may happen to a job, each with its beginning, which isn't disturbed, and the rest, which tests disturb."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from support.stage import Stage


@dataclass(frozen=True)
class Scenario:
    """`begin` and `go_on` act as people and nodes do; each is done once what it waits for is there."""

    name: str
    go_on: Callable[[Stage], None]
    begin: Callable[[Stage], None] | None = None
    spec: dict[str, Any] = field(default_factory=dict)


def create(stage: Stage, **spec: Any) -> None:
    stage.space.create("digits", **spec)


def run(stage: Stage) -> None:
    stage.when(phase="Running", nodesReady=2)


def end(stage: Stage) -> None:
    stage.space.end("digits-1")
    stage.when(nodesReady=1)
    stage.space.end("digits-0")


def complete(stage: Stage) -> None:
    run(stage)
    end(stage)
    stage.when(phase="Complete")


def fail_and_replace(stage: Stage) -> None:
    stage.space.end("digits-1", 137, reason="OOMKilled")
    stage.until("it is counted", lambda: stage.status.get("restarts", {}).get("user") == 1)
    run(stage)


def lose_and_replace(stage: Stage) -> None:
    stage.space.core.delete_namespaced_pod("digits-1", stage.space.name, grace_period_seconds=0)
    stage.until("it is counted", lambda: stage.status.get("restarts", {}).get("infrastructure") == 1)
    run(stage)


def suspend_and_resume(stage: Stage) -> None:
    stage.space.patch("digits", suspend=True)
    stage.when(phase="Suspended")
    stage.space.patch("digits", suspend=False)
    run(stage)


def scale(stage: Stage) -> None:
    stage.space.patch("digits", nodes=1)
    stage.until("it is smaller", lambda: stage.status.get("nodes") == 1 and len(stage.pods) == 1)
    stage.space.patch("digits", nodes=2)
    stage.until("it is larger", lambda: stage.status.get("nodesReady") == 2)


def fail_for_good(stage: Stage) -> None:
    stage.space.end("digits-1", 2, '{"version": 1, "fault": {"cause": "UserError", "message": "no such column"}}')
    stage.when(phase="Failed")
    stage.until("the other one is ended", lambda: "activeDeadlineSeconds" in stage.pods["digits-0"]["spec"])


def outlive_its_time(stage: Stage) -> None:
    end(stage)
    stage.until("pods are gone", lambda: stage.status.get("phase") == "Complete" and not stage.pods)
    stage.until("all is gone", lambda: not stage.left())


SCENARIOS = [
    Scenario("complete", complete),
    Scenario("replaced", fail_and_replace, run),
    Scenario("lost", lose_and_replace, run),
    Scenario("suspended", suspend_and_resume, run),
    Scenario("scaled", scale, run, {"elastic": {"minNodes": 1, "maxNodes": 2}}),
    Scenario("failed", fail_for_good, run),
    Scenario("outlived", outlive_its_time, run, {"ttlSecondsAfterFinished": 1}),
]
