"""Whatever a manifest or a changed ConfigMap says, its job alone is in trouble: the others go on."""

import asyncio
import json
from typing import Any

import pytest

from support.any_history import KEY, Cluster
from support.cluster import Object, job
from trainyard_operator import observe
from trainyard_operator.api import CONFIG_MAPS, JOBS, RUNTIMES
from trainyard_operator.children import config_map
from trainyard_operator.names import Key
from trainyard_operator.observe import Observer
from trainyard_operator.progress import Poller
from trainyard_operator.queue import Queue
from trainyard_operator.state import State

PRESETS = {"template": {"env": [{"name": "HTTPS_PROXY", "value": "http://proxy"}], "volumes": [{"name": "cache"}]}}


def observed(**spec: Any) -> State:
    cluster = Cluster()
    cluster.put(RUNTIMES, {"metadata": {"name": "default"}, "spec": PRESETS})
    cluster.put(JOBS, job(KEY.name, KEY.namespace, **spec))
    return cluster.observe()


def test_a_digit_that_is_no_number_is_no_count_of_gpus() -> None:
    state = observed(template={"resources": {"limits": {"nvidia.com/gpu": "²"}}})
    assert state.resolved is not None
    assert state.resolved.processes_per_node == 1


@pytest.mark.parametrize("name", [["x"], {"x": 1}, 5, None])
def test_names_that_are_none_are_joined_all_the_same(name: object) -> None:
    state = observed(template={"volumes": [{"name": name}], "env": [{"name": "HTTPS_PROXY", "value": "mine"}]})
    assert state.spec is not None
    assert state.spec.template.volumes == [*PRESETS["template"]["volumes"], {"name": name}]
    assert state.spec.template.env == [{"name": "HTTPS_PROXY", "value": "mine"}]
    assert observed(template={"env": [{"name": name}]}).spec is None


def test_a_bug_in_reading_is_its_jobs_own_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(observe, "with_runtime", fail)
    trouble = observed().trouble
    assert trouble is not None
    assert trouble.reason == "InvalidSpec"
    assert "KeyError('surprise')" in trouble.message


@pytest.mark.parametrize(
    "text",
    ['{"x": 1}', '{"name": 5, "spec": {}}', '{"name": "A\\n", "spec": {}}', "[" * 200_000, "[]", "null", "", "{"],
)
def test_presets_that_were_made_unreadable_are_taken_anew(text: str) -> None:
    cluster = Cluster()
    cluster.put(RUNTIMES, {"metadata": {"name": "default"}, "spec": PRESETS})
    kept = config_map(cluster.observe())
    cluster.put(CONFIG_MAPS, {**kept, "data": {**kept["data"], "runtime.json": text}})
    state = cluster.observe()
    assert (state.runtime, state.trouble) == ("default", None)
    assert json.loads(state.runtime_json) == json.loads(kept["data"]["runtime.json"])


def test_no_presets_are_kept_as_none() -> None:
    cluster = Cluster()
    kept = config_map(cluster.observe())
    cluster.put(RUNTIMES, {"metadata": {"name": "default"}, "spec": PRESETS})
    cluster.put(CONFIG_MAPS, kept)
    assert cluster.observe().runtime is None


class Surprised(Observer):
    """Can't observe one job."""

    def __init__(self) -> None:
        self.seen: dict[Key, int] = {}
        self.twice = asyncio.Event()

    def observe(self, key: Key) -> State | None:
        if key == KEY:
            raise RuntimeError("surprise")
        self.seen[key] = self.seen.get(key, 0) + 1
        if self.seen[key] == 2:
            self.twice.set()
        return None


def test_a_job_that_cannot_be_observed_keeps_no_other_from_being_asked() -> None:
    async def poll() -> None:
        observer = Surprised()
        jobs: dict[Key, Object] = {KEY: {}, Key("default", "other"): {}}
        task = asyncio.create_task(Poller(observer, Queue(), 0.01).run(jobs))
        twice = asyncio.create_task(observer.twice.wait())
        await asyncio.wait({task, twice}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        assert twice.done()
        assert not task.done()
        task.cancel()

    asyncio.run(poll())
