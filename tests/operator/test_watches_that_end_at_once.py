"""A server that ends every watch at once isn't asked without a pause."""

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web as server

from trainyard_operator import watch
from trainyard_operator.api import PODS, Api
from trainyard_operator.index import Index
from trainyard_operator.metrics import Metrics
from trainyard_operator.watch import Watch

GONE = {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}
POD = {"metadata": {"name": "digits-0", "namespace": "team-a", "uid": "1", "resourceVersion": "2"}}
EVENT = {"type": "MODIFIED", "object": POD}
ANSWERS = {"gone": [GONE], "empty": [], "gone after an event": [EVENT, GONE], "one event": [EVENT]}


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Failures in a row, at each pause; none lasts."""
    found: list[int] = []

    def pause(failures: int, at_least: float = 0.0) -> float:
        found.append(failures)
        return 0.0

    monkeypatch.setattr(watch, "_pause", pause)
    return found


def _follow(answer: list[dict[str, object]], times: int) -> None:
    """Have a watch opened so often."""

    async def follow() -> None:
        opened, enough = 0, asyncio.Event()

        async def tell(request: server.Request) -> server.Response:
            nonlocal opened
            if "watch" not in request.query:
                return server.json_response({"metadata": {"resourceVersion": "1"}, "items": []})
            opened += 1
            if opened > times:
                enough.set()
                await asyncio.Future()
            return server.Response(body=b"".join(json.dumps(each).encode() + b"\n" for each in answer))

        application = server.Application()
        application.router.add_get(PODS.path(), tell)
        runner = server.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        site = server.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as session:
            following = asyncio.create_task(Watch(Api(session, url, Metrics()), Index(print), PODS, None).run())
            await asyncio.wait_for(enough.wait(), 10)
            following.cancel()
        await runner.cleanup()

    asyncio.run(follow())


@pytest.mark.parametrize("name", ["gone", "empty"])
def test_pauses_grow(name: str, pauses: list[int]) -> None:
    _follow(ANSWERS[name], 4)
    assert pauses == [1, 2, 3, 4]


def test_an_event_shows_that_it_works(pauses: list[int]) -> None:
    _follow(ANSWERS["gone after an event"], 3)
    assert pauses == [1, 1, 1]


def test_a_watch_that_had_something_to_say_is_opened_again_at_once(pauses: list[int]) -> None:
    _follow(ANSWERS["one event"], 3)
    assert pauses == []
