"""The operator's own port: /healthz, /readyz and /metrics."""

import logging
import time
from collections.abc import Callable

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from trainyard_operator.metrics import Metrics
from trainyard_operator.queue import Queue
from trainyard_operator.watch import Watch

WATCH_SECONDS = 300.0  # no sign of life for so long, bookmarks included, and the operator is of no use
WORK_SECONDS = 180.0  # one job may take so long

logger = logging.getLogger(__name__)


class Health:
    """Whether the operator does what it is there for."""

    def __init__(self, watches: list[Watch], queue: Queue, metrics: Metrics, ready: Callable[[], bool]) -> None:
        self._watches = watches
        self._queue = queue
        self._metrics = metrics
        self._ready = ready

    def problems(self) -> list[str]:
        """What is stuck."""
        found = [
            f"nothing was heard of {watch.resource.plural} for {int(age)} s"
            for watch in self._watches
            if (age := time.monotonic() - watch.alive) > WATCH_SECONDS
        ]
        if (stuck := self._queue.stuck_seconds()) > WORK_SECONDS:
            found.append(f"one job has been worked on for {int(stuck)} s")
        return found

    async def healthz(self, _: web.Request) -> web.Response:
        """503 with what is stuck."""
        problems = self.problems()
        return web.Response(status=503 if problems else 200, text="\n".join(problems) or "ok")

    async def readyz(self, _: web.Request) -> web.Response:
        """503 until everything has been listed once."""
        return web.Response(status=200 if self._ready() else 503, text="ok" if self._ready() else "listing")

    async def metrics(self, _: web.Request) -> web.Response:
        """In Prometheus' text format."""
        self._metrics.queue_depth.set(len(self._queue))
        for watch in self._watches:
            self._metrics.watch_age.labels(watch.resource.plural).set(time.monotonic() - watch.alive)
        return web.Response(body=generate_latest(self._metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def serve(health: Health, port: int) -> web.AppRunner:
    """Answer on `port` until the runner is cleaned up."""
    application = web.Application()
    application.router.add_get("/healthz", health.healthz)
    application.router.add_get("/readyz", health.readyz)
    application.router.add_get("/metrics", health.metrics)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, None, port).start()
    return runner
