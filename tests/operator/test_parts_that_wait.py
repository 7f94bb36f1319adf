"""What only shows after minutes: a token that is rotated, a watch that falls silent, a memory that would grow."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web as server

from trainyard_api.job import JobSpec
from trainyard_api.status import Status
from trainyard_operator import web
from trainyard_operator.api import EVENTS, JOBS, PODS, Api, TokenFile
from trainyard_operator.explain import Explainer
from trainyard_operator.index import Index
from trainyard_operator.metrics import Metrics
from trainyard_operator.names import Key
from trainyard_operator.pod import Pod, Wait
from trainyard_operator.queue import Queue
from trainyard_operator.state import State
from trainyard_operator.watch import Watch

KEY = Key("team-a", "digits")
RAW = {"metadata": {"name": "digits", "namespace": "team-a", "uid": "1"}}


class Clock(SimpleNamespace):
    """A clock that a test moves on."""

    moment = 1000.0

    def monotonic(self) -> float:
        return self.moment


async def _served(application: server.Application) -> tuple[server.AppRunner, str]:
    runner = server.AppRunner(application)
    await runner.setup()
    await server.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


def test_a_token_that_is_rotated_is_sent_a_minute_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, path, seen = Clock(), tmp_path / "token", []
    monkeypatch.setattr("trainyard_operator.api.time", clock)

    async def hear(request: server.Request) -> server.Response:
        seen.append(request.headers["Authorization"])
        return server.json_response({})

    async def ask() -> None:
        application = server.Application()
        application.router.add_get("/", hear)
        runner, url = await _served(application)
        async with aiohttp.ClientSession(middlewares=(TokenFile(path),)) as session:
            api = Api(session, url, Metrics())
            for token, seconds in (("first", 0), ("second", 59), ("second", 2)):
                path.write_text(f"{token}\n")
                clock.moment += seconds
                await api.get("/")
        await runner.cleanup()

    asyncio.run(ask())
    assert seen == ["Bearer first", "Bearer first", "Bearer second"]


def test_what_is_stuck_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> None:
        async with aiohttp.ClientSession() as session:
            metrics, queue = Metrics(), Queue()
            watch = Watch(Api(session, "http://127.0.0.1:9", metrics), Index(queue.add), PODS, None)
            health = web.Health([watch], queue, metrics, lambda: True)
            application = server.Application()
            application.router.add_get("/healthz", health.healthz)
            runner, url = await _served(application)
            assert await _get(session, url) == (200, "ok")
            watch.alive -= web.WATCH_SECONDS + 1
            assert await _get(session, url) == (503, "nothing was heard of pods for 301 s")
            watch.alive += web.WATCH_SECONDS
            queue.add(KEY)
            assert await queue.take() == KEY
            assert await _get(session, url) == (200, "ok")
            monkeypatch.setattr(web, "WORK_SECONDS", -1.0)
            assert await _get(session, url) == (503, "one job has been worked on for 0 s")
            await runner.cleanup()

    asyncio.run(ask())


async def _get(session: aiohttp.ClientSession, url: str) -> tuple[int, str]:
    async with session.get(f"{url}/healthz") as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize("gone", [False, True], ids=["replaced", "with its job"])
def test_why_a_pod_was_slow_is_forgotten_with_it(gone: bool) -> None:
    said = {"reason": "FailedMount", "message": "no such secret", "lastTimestamp": "2026-01-01T00:00:00Z"}

    async def tell(_: server.Request) -> server.Response:
        return server.json_response({"items": [said]})

    async def ask() -> dict[str, Wait]:
        application = server.Application()
        application.router.add_get(EVENTS.path("team-a"), tell)
        runner, url = await _served(application)
        async with aiohttp.ClientSession() as session:
            explainer = Explainer(Api(session, url, Metrics()))
            await explainer.explain(_starting("old"))
            assert explainer.found["old"].message == "FailedMount: no such secret"
            if gone:
                explainer.forget(KEY)
            else:
                await explainer.explain(_starting("new"))
        await runner.cleanup()
        return explainer.found

    assert asyncio.run(ask()) == {}


def test_an_explanation_that_cannot_be_had_stops_nothing() -> None:
    async def refuse(_: server.Request) -> server.Response:
        return server.json_response({"reason": "TooManyRequests"}, status=429)

    async def ask() -> None:
        application = server.Application()
        application.router.add_get(EVENTS.path("team-a"), refuse)
        runner, url = await _served(application)
        async with aiohttp.ClientSession() as session:
            explainer = Explainer(Api(session, url, Metrics()))
            assert await explainer.explain(_starting("1")) == 5
            assert explainer.found == {}
        await runner.cleanup()

    asyncio.run(ask())


def _starting(uid: str) -> State:
    now = datetime.now(UTC)
    pod = Pod("digits-0", uid, 0, 0, "Pending", node="node-0", started=now - timedelta(minutes=1))
    spec: dict[str, Any] = {"storage": {"uri": "s3://bucket/runs"}, "script": {"command": ["train.py"]}}
    return State(KEY, RAW, now, Status(), JobSpec.model_validate(spec), pods={0: pod})


def test_of_a_job_that_is_gone_nothing_is_kept() -> None:
    index = Index(lambda key: None)
    owner = {"kind": "TrainingJob", "name": "digits", "uid": "1", "controller": True}
    job = {"metadata": {**RAW["metadata"], "resourceVersion": "1"}}
    pod = {"metadata": {**job["metadata"], "name": "digits-0", "uid": "2", "ownerReferences": [owner]}}
    index.put(JOBS, job)
    for uid in ("2", "3"):
        index.put(PODS, {"metadata": {**pod["metadata"], "uid": uid, "resourceVersion": uid}})
    index.remove(PODS, {"metadata": {**pod["metadata"], "uid": "3"}})
    assert index.last_pods.keys() == {KEY}
    index.put(PODS, {"metadata": {**pod["metadata"], "uid": "4", "resourceVersion": "4"}})
    index.remove(JOBS, job)
    index.remove(PODS, {"metadata": {**pod["metadata"], "uid": "4"}})  # the garbage collector comes after
    assert index.last_pods == {}
    index.put(JOBS, {"metadata": {**job["metadata"], "uid": "5", "resourceVersion": "5"}})
    index.put(PODS, {"metadata": {**pod["metadata"], "uid": "6", "resourceVersion": "6"}})
    index.remove(PODS, {"metadata": {**pod["metadata"], "uid": "6"}})  # of the job that had the name before
    assert index.last_pods == {}
