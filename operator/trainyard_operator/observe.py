"""From the index to the State of one job."""

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from trainyard_api.documents import NodeReport
from trainyard_api.errors import TrainyardError
from trainyard_api.job import JobSpec, TrainingJob
from trainyard_api.resolve import resolve_on_cluster
from trainyard_api.runtime import DEFAULT_RUNTIME, RuntimeSpec, with_runtime
from trainyard_api.status import Status
from trainyard_operator import clock
from trainyard_operator.api import CONFIG_MAPS, POD_GROUPS, PODS, SERVICES
from trainyard_operator.children import preset_snapshot
from trainyard_operator.index import Index, Object
from trainyard_operator.logs import about
from trainyard_operator.names import Key, group_name, owner_uid, pod_index
from trainyard_operator.pod import Pod, Wait, plain, read_pod
from trainyard_operator.state import State, Trouble

logger = logging.getLogger(__name__)


class Observer:
    """Puts together what is known of a job. What is expensive to read is read once per change."""

    def __init__(self, index: Index, explanations: Mapping[str, Wait]) -> None:
        self._index = index
        self._explanations = explanations  # why a pod is slow to start, by its UID
        self._read: dict[Key, tuple[Any, State]] = {}
        self._statuses: dict[Key, tuple[str, Status | None]] = {}
        self.refusals: dict[Key, dict[str, Trouble]] = {}
        self.reports: dict[Key, dict[str, NodeReport]] = {}  # by the pod's UID

    def forget(self, key: Key) -> None:
        """The job is gone."""
        for memory in (self._read, self._statuses, self.refusals, self.reports):
            memory.pop(key, None)

    def observe(self, key: Key) -> State | None:
        """What is known of the job; None if there is none, or it is being deleted."""
        raw = self._index.jobs.get(key)
        if raw is None or "deletionTimestamp" in raw["metadata"]:
            return None
        uid = raw["metadata"]["uid"]
        pods = [
            self._explained(read_pod(each, index))
            for name, each in self._index.children(PODS, key).items()
            if owner_uid(each) == uid and (index := pod_index(key.name, name)) is not None
        ]
        config = self._own(CONFIG_MAPS, key, uid)
        state = self._spec(key, raw, config)
        last = self._index.last_pods.get(key)
        live = {pod.uid for pod in pods}
        reports = {pod: report for pod, report in self.reports.get(key, {}).items() if pod in live}
        status = self._status(key, raw)
        return replace(
            state,
            raw=raw,
            now=clock.now(),
            status=status or Status(),
            readable=status is not None,
            pods={pod.index: pod for pod in pods},
            last_pod=read_pod(last, 0) if last and owner_uid(last) == uid else None,
            nodes_known=self._index.nodes,
            service=self._own(SERVICES, key, uid),
            config_map=config,
            pod_group=next((found for kind in POD_GROUPS.values() if (found := self._own(kind, key, uid))), None),
            refusals=dict(self.refusals.get(key, {})),
            reports=reports,
        )

    def _status(self, key: Key, raw: Object) -> Status | None:
        version = raw["metadata"]["resourceVersion"]
        found = self._statuses.get(key)
        if not found or found[0] != version:
            found = self._statuses[key] = (version, _status(raw))
        return found[1]

    def _explained(self, pod: Pod) -> Pod:
        wait = self._explanations.get(pod.uid)
        return replace(pod, wait=wait) if wait and pod.wait and pod.wait.reason == "Starting" else pod

    def _own(self, resource: Any, key: Key, uid: str) -> Object | None:
        found = self._index.children(resource, key).get(group_name(key.name))
        return found if found and owner_uid(found) == uid else None

    def _spec(self, key: Key, raw: Object, config: Object | None) -> State:
        """The parts of a state that follow from spec and presets alone."""
        snapshot = preset_snapshot(config)
        name = _runtime_name(raw)
        live = self._index.runtimes.get(name)
        preset = snapshot or (live and {"name": name, "spec": live.get("spec") or {}})
        token = (raw["metadata"]["uid"], raw["metadata"].get("generation"), json.dumps(preset, sort_keys=True))
        found = self._read.get(key)
        if not found or found[0] != token:
            found = self._read[key] = (token, _read(key, raw, preset))
        return found[1]


def _runtime_name(raw: Object) -> str:
    spec = raw.get("spec")
    return str((spec.get("runtime") if isinstance(spec, dict) else None) or DEFAULT_RUNTIME)


def _read(key: Key, raw: Object, preset: Object | None) -> State:
    state = State(key, raw, clock.now(), Status())
    asked = (raw.get("spec") or {}).get("runtime")
    if asked and not preset:
        what = f"There is no TrainingRuntime {asked}: create it, or remove spec.runtime."
        return replace(state, spec=_parse(raw), trouble=Trouble("RuntimeMissing", plain(what)))
    try:
        job = _job(raw)
        runtime = RuntimeSpec.model_validate(preset["spec"]) if preset and preset.get("spec") is not None else None
        spec = with_runtime(job.spec, runtime)
        state = replace(
            state,
            spec=spec,
            runtime=preset["name"] if preset else None,
            runtime_json=json.dumps(preset or {"name": None, "spec": None}, sort_keys=True),
        )
        resolved = resolve_on_cluster(job.model_copy(update={"spec": spec}), raw["metadata"]["uid"])
        return replace(state, resolved=resolved)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return replace(state, trouble=Trouble("InvalidSpec", plain(f"{where}: {first['msg']}")))
    except TrainyardError as error:
        text = f"{error.where}: {error.what}; {error.remedy}"
        return replace(state, trouble=Trouble(error.cause, plain(text)))
    except Exception as error:  # a bug of ours: one job's alone, and its owner can see where it stands
        logger.exception("The spec of this job can't be read", extra=about(raw))
        text = f"spec: the operator can't read it ({error!r}): its log says where; change what is unusual in it"
        return replace(state, trouble=Trouble("InvalidSpec", plain(text)))


def _parse(raw: Object) -> JobSpec | None:
    try:
        return _job(raw).spec
    except ValidationError:
        return None


def _job(raw: Object) -> TrainingJob:
    metadata = {name: raw["metadata"][name] for name in ("name", "namespace") if name in raw["metadata"]}
    return TrainingJob.model_validate(
        {"apiVersion": raw["apiVersion"], "kind": raw["kind"], "metadata": metadata, "spec": raw.get("spec")}
    )


def _status(raw: Object) -> Status | None:
    """The status as it was written last, without what only a newer operator knows; None: it can't be read."""
    try:
        return Status.model_validate(raw.get("status") or {}, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in ("status", *first["loc"]))
        text = "%s can't be read (%s): nothing is done until it is mended, or an operator runs that knows it"
        logger.error(text, where, first["msg"], extra=about(raw))
        return None
