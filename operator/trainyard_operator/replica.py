"""Putting the parts together, from the first connection to the last."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import kopf

from trainyard_operator import presets
from trainyard_operator.api import CONFIG_MAPS, JOBS, NODES, PODS, RUNTIMES, SERVICES, UNREACHABLE, Api, ApiError
from trainyard_operator.connection import Connection, connect
from trainyard_operator.index import Index
from trainyard_operator.jobs import Sweep, register
from trainyard_operator.lease import Lease
from trainyard_operator.metrics import Metrics
from trainyard_operator.names import SELECTOR, Key
from trainyard_operator.progress import Poller
from trainyard_operator.queue import Queue
from trainyard_operator.reconcile import Reconciler
from trainyard_operator.settings import Settings
from trainyard_operator.watch import Watch
from trainyard_operator.web import Health, serve

FIRST_PAUSE_SECONDS = 0.2  # between two tries of kopf's
_WORKERS = 16  # jobs looked at side by side
_LAST_SECONDS = 10.0  # for what is being written when the operator is told to stop

logger = logging.getLogger(__name__)


class Replica:
    """One replica."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self._settings = settings
        self._connection = connection
        self._session = connection.session()
        self._stop = asyncio.Event()
        self._failed = False
        self._closing = False
        self._gate = asyncio.Event()
        metrics = Metrics()
        self._api = Api(self._session, connection.server, metrics)
        self._queue = Queue()
        self._index = Index(self._queue.add)
        self._watches = list(self._make_watches())
        self._sweep = Sweep(self._api, self._index)
        self._lease = Lease(self._api, settings.namespace, settings.lease, settings.identity, metrics)
        acting = Api(self._session, connection.server, metrics, self._lease.valid)
        self._reconciler = Reconciler(acting, self._index, self._queue, metrics, settings.images)
        self._poller = Poller(self._reconciler.observer, self._queue, settings.poll_seconds)
        self._listed = asyncio.Event()
        self._health = Health(self._watches, self._queue, metrics, self._listed.is_set)

    def _make_watches(self) -> list[Watch]:
        namespaces = self._settings.namespaces or (None,)
        watches = [
            Watch(self._api, self._index, resource, namespace, SELECTOR)
            for resource in (PODS, SERVICES, CONFIG_MAPS)
            for namespace in namespaces
        ]
        # With Roles only, what is cluster-wide can't be seen; and kopf would end where one of them is missing.
        if self._settings.namespaces:
            return watches + [Watch(self._api, self._index, JOBS, namespace) for namespace in namespaces]
        return watches + [Watch(self._api, self._index, resource, None) for resource in (NODES, RUNTIMES)]

    async def run(self) -> int:
        """Work until a signal comes, or something that can't be done without ends. Returns the exit code."""
        if self._settings.runtimes:
            presets.load(self._settings.runtimes, self._index)
        port = await serve(self._health, self._settings.port)
        # All before kopf starts: at its end, kopf cancels every task that came later.
        workers = [self._keep(self._work()) for _ in range(_WORKERS)]
        others = [self._keep(watch.run()) for watch in self._watches]
        others += [self._keep(each) for each in (self._lease.run(), self._open(), self._poll(), self._resync())]
        try:
            await self._run_kopf()
        finally:
            self._closing = True
            self._queue.close()
            self._gate.set()
            await asyncio.wait(workers, timeout=_LAST_SECONDS)
            for task in others:
                task.cancel()
            await asyncio.wait(others, timeout=_LAST_SECONDS)
            await self._lease.release()
            await port.cleanup()
            await self._session.close()
            await self._connection.close()
        return 1 if self._failed else 0

    async def _run_kopf(self) -> None:
        namespaces = self._settings.namespaces
        registry = kopf.OperatorRegistry()
        if not namespaces:
            register(registry, self._index)
        session = kopf.AiohttpSession(server=self._connection.server, aiohttp_session=self._connection.session())

        @kopf.on.login(registry=registry)
        async def login(**_: Any) -> kopf.AiohttpSession:
            return session

        @kopf.on.cleanup(registry=registry)
        async def cleanup(**_: Any) -> None:
            self._stop.set()  # after a signal kopf waits 5 s for its own task that waits for this

        settings = kopf.OperatorSettings()
        settings.posting.enabled = False
        settings.scanning.disabled = True
        # Five minutes of refusals, then it ends and is started anew: not at once, for an API server in some trouble.
        settings.networking.error_backoffs = [min(10.0, FIRST_PAUSE_SECONDS * 2**n) for n in range(36)]
        await kopf.operator(
            registry=registry,
            settings=settings,
            standalone=True,
            clusterwide=not namespaces,
            namespaces=namespaces,
            stop_flag=self._stop,
        )
        logger.info("Stopping")

    def _keep(self, doing: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run it for as long as the operator lives: whichever way it ends, nothing goes on without it."""

        def ended(task: asyncio.Task[None]) -> None:
            if task.cancelled() or self._closing:
                return
            logger.error("The operator can't go on without %s", task.get_name(), exc_info=task.exception())
            self._failed = True
            self._stop.set()

        task = asyncio.create_task(doing, name=getattr(doing, "__qualname__", ""))
        task.add_done_callback(ended)
        return task

    async def _open(self) -> None:
        """Once everything is listed and the Lease is held, let the workers begin."""
        for watch in self._watches:
            await watch.answered.wait()
        if not self._settings.namespaces:
            await self._until_answered(self._sweep.first)
        self._listed.set()
        await self._lease.held.wait()
        self._index.all_changed()
        self._gate.set()
        await asyncio.Future()  # nothing is kept that ends

    async def _work(self) -> None:
        await self._gate.wait()
        while key := await self._queue.take():
            try:
                if self._lease.valid() and self._sees(key):
                    await self._reconciler.work(key)
                else:  # the Lease's own task ends the operator, or renews it
                    self._queue.add_after(key, 1.0)
            finally:
                self._queue.done(key)

    def _sees(self, key: Key) -> bool:
        """Whether all of the job's children are known: what isn't seen might be made again."""
        return all(watch.listed.is_set() for watch in self._watches if watch.namespace in (None, key.namespace))

    async def _poll(self) -> None:
        await self._gate.wait()
        await self._poller.run(self._index.jobs)

    async def _resync(self) -> None:
        await self._gate.wait()
        while True:
            await asyncio.sleep(self._settings.resync_seconds)
            if not self._settings.namespaces:
                await self._until_answered(self._sweep.run)
            for watch in self._watches:
                if watch.resource != NODES:  # those report every few minutes anyway, and are large
                    await self._until_answered(watch.list, watch.hides)
            self._index.all_changed()

    async def _until_answered(self, ask: Any, hopeless: Callable[[ApiError], bool] = lambda error: False) -> None:
        while True:
            try:
                await ask()
            except (ApiError, *UNREACHABLE) as error:
                if isinstance(error, ApiError) and hopeless(error):
                    return
                logger.warning("Listing: %s", error or type(error).__name__)
                await asyncio.sleep(1.0)
            else:
                return


async def run(settings: Settings) -> int:
    """Run one replica to its end. Returns the exit code."""
    return await Replica(settings, connect()).run()
