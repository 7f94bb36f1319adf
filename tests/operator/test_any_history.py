"""Whatever happens to a job, in whatever order, and wherever the operator is interrupted: what holds at all times."""

import json
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from support.any_history import CHILDREN, KEY, Cluster
from trainyard_api import crd
from trainyard_api.documents import NodeReport
from trainyard_api.status import Progress, Status
from trainyard_operator import clock
from trainyard_operator.api import JOBS, NODES, PODS
from trainyard_operator.state import FINAL

PICK = st.integers(0, 9)
REASONS = ["Error", "OOMKilled", "Evicted", "DeadlineExceeded", "NodeLost", ""]
CODES = [1, 2, 3, 137, 139, 143, 255]
SCHEMA = yaml.safe_load((Path(crd.__file__).parents[1] / crd.FILE).read_text())["spec"]["versions"][0]["schema"]


class AnyHistory(RuleBasedStateMachine):
    """A job, and all that people, nodes and programs do to it, the operator's writes in between."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster()
        self.ended: str | None = None
        self.counts = (0, 0, 0)
        self.seconds = 0

    @initialize(running=st.sampled_from([True, True, True, False]), ttl=st.sampled_from([None, None, 5]))
    def begin(self, running: bool, ttl: int | None) -> None:
        if ttl is not None:
            self.cluster.change_spec(ttlSecondsAfterFinished=ttl)
        if running:
            self.settle()
            self.run_all()
            self.settle()

    # What the operator does: as a whole, or cut short.

    @rule(stop=st.integers(0, 6))
    def look(self, stop: int) -> None:
        """One look, of which only `stop` actions are done when the operator dies; more than there are: all."""
        state, status, todo = self.cluster.decide()
        if stop % 2:
            self.cluster.write(status)
        for action in todo.actions[:stop]:
            if stop % 2 == 0 and status.restarts.attempt != state.status.restarts.attempt:
                break  # what counts is on record first
            self.cluster.act(action)

    @rule()
    def settle(self) -> None:
        """Looks until nothing is left to do: there must be an end to it, and then all is as wanted."""
        self.cluster.settle()

    # What others do.

    @rule(suspend=st.booleans())
    def suspend(self, suspend: bool) -> None:
        self.cluster.change_spec(suspend=suspend)

    @rule(nodes=st.integers(1, 3))
    def scale(self, nodes: int) -> None:
        self.cluster.change_spec(nodes=nodes)

    @rule(most=st.sampled_from([0, 1, 3, 2_147_483_647]))
    def bear(self, most: int) -> None:
        self.cluster.change_spec(recovery={"maxRestarts": most, "nodeLossSeconds": 30})

    @rule(seconds=st.sampled_from([0.1, 1, 9, 31, 70, 4000, -5, -3600]))
    def pass_time(self, seconds: float) -> None:
        self.cluster.pass_time(seconds)

    @rule()
    def run_all(self) -> None:
        for pick in range(3):
            self.run_one(pick)

    @rule(pick=PICK)
    def run_one(self, pick: int) -> None:
        if (pod := self._pick(pick)) and pod.get("status", {}).get("phase", "Pending") == "Pending":
            self.cluster.run(pod["metadata"]["name"], f"node-{pick % 3}")

    @rule(pick=PICK, code=st.sampled_from(CODES), reason=st.sampled_from(REASONS), message=st.text(max_size=20))
    def fail(self, pick: int, code: int, reason: str, message: str) -> None:
        if (pod := self._pick(pick)) and pod.get("status", {}).get("phase") == "Running":
            self.cluster.end(pod["metadata"]["name"], code, reason, message)

    @rule(pick=PICK)
    def succeed(self, pick: int) -> None:
        if (pod := self._pick(pick)) and pod.get("status", {}).get("phase") == "Running":
            self.cluster.end(pod["metadata"]["name"])

    @rule(pick=PICK, homeless=st.booleans())
    def schedule(self, pick: int, homeless: bool) -> None:
        if (pod := self._pick(pick)) and pod.get("status", {}).get("phase", "Pending") == "Pending":
            if homeless:
                self.cluster.find_no_room(pod["metadata"]["name"])
            else:
                self.cluster.change_pod(pod, conditions=[])

    @rule(pick=PICK, at_once=st.booleans())
    def delete(self, pick: int, at_once: bool) -> None:
        if pod := self._pick(pick):
            if at_once:
                self.cluster.remove(PODS, pod["metadata"]["name"])
            else:
                self.cluster.change_pod(pod, {"deletionTimestamp": clock.seconds(self.cluster.moment)})

    @rule(pick=PICK)
    def confirm(self, pick: int) -> None:
        if (pod := self._pick(pick)) and "deletionTimestamp" in pod["metadata"]:
            self.cluster.remove(PODS, pod["metadata"]["name"])

    @rule(pick=st.integers(0, 2), silent=st.booleans())
    def silence(self, pick: int, silent: bool) -> None:
        self.cluster.silence(f"node-{pick}", silent)

    @rule(pick=PICK)
    def become_unready(self, pick: int) -> None:
        if (pod := self._pick(pick)) and pod.get("status", {}).get("phase") == "Running":
            self.cluster.become_unready(pod["metadata"]["name"])

    @rule(pick=st.integers(0, 2))
    def remove_a_node(self, pick: int) -> None:
        self.cluster.remove(NODES, f"node-{pick}")

    @rule(phase=st.sampled_from(["Pending", "Running", "Restarting", "Complete", "Failed"]))
    def meddle(self, phase: str) -> None:
        if status := self.cluster.job.get("status"):
            self.cluster.put(JOBS, {**self.cluster.job, "status": {**status, "phase": phase}})

    @rule(pick=PICK, restarts=st.sampled_from([0, 1, 2, 2_147_483_647]), step=st.sampled_from([0, 5, 2_147_483_647]))
    def report(self, pick: int, restarts: int, step: int) -> None:
        if pod := self._pick(pick):
            told = NodeReport(restarts=restarts, progress=Progress(step=step))
            self.cluster.observer.reports.setdefault(KEY, {})[pod["metadata"]["uid"]] = told

    @rule(pick=st.integers(0, 1))
    def lose_a_child(self, pick: int) -> None:
        self.cluster.remove(CHILDREN[pick], "tj-digits")

    @rule()
    def restart_operator(self) -> None:
        self.cluster.observer.reports.clear()

    # What holds.

    @rule()
    def finish(self) -> None:
        """Node 0 is done: then the job ends, whatever the others do or don't."""
        self.cluster.change_spec(suspend=False)
        self.settle()
        state = self.cluster.observe()
        if 0 in state.pods and state.pods[0].phase == "Running" and not state.suspending:
            self.cluster.end("digits-0")
            self.cluster.pass_time(60)
            assert self.cluster.settle().phase in FINAL

    @invariant()
    def at_most_one_pod_per_index(self) -> None:
        indices = [pod["metadata"]["labels"]["trainyard.dev/index"] for pod in self.cluster.pods]
        assert len(indices) == len(set(indices))

    @invariant()
    def nothing_is_made_while_the_old_one_exists(self) -> None:
        _, _, todo = self.cluster.decide()
        names = [action.body["metadata"]["name"] for action in todo.actions if hasattr(action, "body")]
        there = {name for kind, name in self.cluster.objects if kind == PODS}
        assert not there & {name for name in names if not name.startswith("tj-")}

    @invariant()
    def an_end_is_an_end_and_counts_never_fall(self) -> None:
        status = self._written()
        ended = next(
            (c.type for c in status.conditions if c.type in ("Complete", "Failed") and c.status == "True"), None
        )
        assert self.ended in (None, ended), f"{self.ended} became {ended}"
        self.ended = ended
        counts = (status.restarts.user, status.restarts.infrastructure, status.restarts.attempt)
        assert all(new >= old for new, old in zip(counts, self.counts, strict=True)), f"{self.counts} to {counts}"
        assert status.running_seconds >= self.seconds
        self.counts, self.seconds = counts, status.running_seconds

    @invariant()
    def the_status_is_one_the_api_server_takes(self) -> None:
        _, status, _ = self.cluster.decide()
        body = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        Status.model_validate(body)
        problems = list(_misfits(SCHEMA["openAPIV3Schema"]["properties"]["status"], body, "status"))
        assert not problems, problems

    @invariant()
    def one_condition_at_most_says_how_it_ended(self) -> None:
        true = {each.type for each in self._written().conditions if each.status == "True"}
        assert len(true & {"Complete", "Failed", "Suspended", "Running"}) <= 1

    def _pick(self, number: int) -> Any:
        pods = self.cluster.pods
        return pods[number % len(pods)] if pods else None

    def _written(self) -> Status:
        note(json.dumps(self.cluster.objects[JOBS, "digits"].get("status", {}))[:300])
        return Status.model_validate(self.cluster.objects[JOBS, "digits"].get("status") or {})


def _misfits(schema: dict[str, Any], value: Any, where: str) -> Any:
    """What in `value` breaks the bounds of a structural schema."""
    if isinstance(value, dict):
        for name, inner in value.items():
            found = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
            yield from _misfits(found, inner, f"{where}.{name}") if found else [f"{where}.{name} is unknown"]
    elif isinstance(value, list):
        for inner in value:
            yield from _misfits(schema["items"], inner, where)
        if len(value) > schema.get("maxItems", len(value)):
            yield f"{where} has {len(value)} items"
    elif isinstance(value, str):
        if len(value) > schema.get("maxLength", len(value)):
            yield f"{where} has {len(value)} characters"
    elif isinstance(value, int | float) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield f"{where} is {value}"


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(
    max_examples=120, stateful_step_count=40, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck)
)
