"""One look at one job: observe, decide, write the status if it changed, act. Level-triggered: it needs no history."""

import logging
import time
from datetime import datetime

from trainyard_api.status import Status
from trainyard_operator import clock
from trainyard_operator.actions import child
from trainyard_operator.api import JOBS, UNREACHABLE, Api, ApiError
from trainyard_operator.events import Recorder
from trainyard_operator.execute import Executor
from trainyard_operator.explain import Explainer
from trainyard_operator.index import Index
from trainyard_operator.logs import about
from trainyard_operator.metrics import Metrics
from trainyard_operator.names import Key
from trainyard_operator.observe import Observer
from trainyard_operator.patience import Patience
from trainyard_operator.plan import Plan, counts, plan
from trainyard_operator.pods import Images
from trainyard_operator.queue import Queue
from trainyard_operator.state import State
from trainyard_operator.status import MOVING, next_status, without_progress

PROGRESS_SECONDS = 30.0  # progress alone is written this often at most
STARTING_SECONDS = 1.0  # most pods run by then: each step on the way isn't worth a write

logger = logging.getLogger(__name__)


class Reconciler:
    """Makes the cluster and the status of a job what they should be."""

    def __init__(self, api: Api, index: Index, queue: Queue, metrics: Metrics, images: Images) -> None:
        self._api = api
        self._index = index
        self._queue = queue
        self._metrics = metrics
        self._images = images
        self._executor = Executor(api, index)
        self._recorder = Recorder(api)
        self._explainer = Explainer(api)
        self.observer = Observer(index, self._explainer.found)
        self._patience = Patience()
        self._written: dict[Key, float] = {}  # when a status was written last
        self._starting: dict[Key, float] = {}  # since when there is news of a start that goes as it should

    async def work(self, key: Key) -> None:
        """Look at one job, and have it looked at again if that fails."""
        started = time.monotonic()
        result = "error"
        try:
            again = await self._look(key)
            self._queue.succeed(key)
            result = "ok"
            if again is not None:
                self._queue.add_after(key, again)
        except ApiError as error:
            if error.status != 404 or key in self._index.jobs:
                logger.warning("The API server refuses a write: %s", error, extra=self._about(key))
            self._queue.fail(key, error.retry_after)
        except UNREACHABLE as error:
            logger.warning("No answer from the API server (%s)", error or type(error).__name__, extra=self._about(key))
            self._queue.fail(key)
        except Exception:
            logger.exception("This job can't be looked at", extra=self._about(key))
            self._queue.fail(key)
        finally:
            self._metrics.reconcile.labels(result).observe(time.monotonic() - started)

    async def _look(self, key: Key) -> float | None:
        """Seconds until the job should be looked at again; None: when something happens."""
        state = self.observer.observe(key)
        if state is None:
            self._forget(key)
            return None
        status = next_status(state)
        todo = plan(state, status, self._images)
        if counts(status, state.status):  # on record first: what was counted is never counted twice
            await self._write(state, status)
            await self._act(state, todo)
            return todo.again
        refused = await self._act(state, todo)
        if todo.actions:
            after = self.observer.observe(key)
            if after is None or after.uid != state.uid:
                return 0.0
            state = after
            status = next_status(state)
        wait = await self._write_if_due(state, status)
        slow = await self._explainer.explain(state)
        owed = await self._recorder.catch_up(key)
        again = (todo.again, wait, slow, owed, refused)
        return min((each for each in again if each is not None), default=None)

    async def _act(self, state: State, todo: Plan) -> float | None:
        """Do it, but for what was refused lately. Returns seconds until that is tried again; None: nothing was."""
        held = self._patience.held(state, todo.actions)
        actions = [action for action in todo.actions if child(action) not in held]
        refused = await self._executor.run(state.key, state.uid, actions) if actions else {}
        if refused:
            self._patience.refused(state)
        if refused or held:
            self.observer.refusals[state.key] = {**held, **refused}
            return self._patience.seconds(state)
        if todo.actions or not todo.again:
            self.observer.refusals.pop(state.key, None)
            self._patience.forget(state.key)
        return None

    async def _write_if_due(self, state: State, status: Status) -> float | None:
        """Write `status` if it's new; progress alone only now and then. Returns seconds until it's due."""
        self._metrics.jobs[state.key] = status
        if status == state.status:
            return None
        left = 0.0
        if without_progress(status) == without_progress(state.status):
            left = self._written.setdefault(state.key, time.monotonic()) + PROGRESS_SECONDS - time.monotonic()
        elif status.reason == "Starting" or _only_moves_on(status, state.status):
            left = self._starting.setdefault(state.key, time.monotonic()) + STARTING_SECONDS - time.monotonic()
        if left > 0:
            return left
        await self._write(state, status)
        return None

    async def _write(self, state: State, status: Status) -> None:
        """One write: the whole status, and only if job and status are still those that were observed.

        A write of a replica that has lost the Lease meanwhile, and arrives late, takes no count and no end back.
        """
        await self._recorder.record(state, status)
        body = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        patch: list[dict[str, object]] = [
            {"op": "test", "path": "/metadata/uid", "value": state.uid},
            *_unchanged(state),
            {"op": "add", "path": "/status", "value": body},
        ]
        path = JOBS.path(state.key.namespace, state.key.name, "status")
        try:
            self._index.put(JOBS, await self._api.patch(path, patch, "json"))
        except ApiError as error:
            if error.status == 422:  # it isn't as it was observed: somebody else has written, and the watch is behind
                self._index.put(JOBS, await self._api.get(JOBS.path(state.key.namespace, state.key.name)))
            raise
        self._written[state.key] = time.monotonic()
        self._starting.pop(state.key, None)
        self._metrics.jobs[state.key] = status
        self._measure(state, status)
        if (status.phase, status.reason) != (state.status.phase, state.status.reason):
            logger.info("%s: %s", status.phase, status.message, extra=about(state.raw))

    def _about(self, key: Key) -> dict[str, object]:
        return about(self._index.jobs.get(key) or {"metadata": key._asdict()})

    def _measure(self, state: State, status: Status) -> None:
        last = state.status
        age = (clock.now() - _created(state)).total_seconds()
        if status.start_time and not last.start_time:
            self._metrics.to_running.observe(age)
        if status.phase == "Complete" and last.phase != "Complete":
            self._metrics.to_complete.observe(age)
        if not last.nodes and status.nodes == state.nodes and not status.restarts.attempt:
            self._metrics.to_pods.observe(age)
        for account in ("user", "infrastructure"):
            more = getattr(status.restarts, account) - getattr(last.restarts, account)
            if more > 0:
                self._metrics.restarted(status.restarts.last_cause or account, more)

    def _forget(self, key: Key) -> None:
        self.observer.forget(key)
        self._explainer.forget(key)
        self._recorder.forget(key)
        self._patience.forget(key)
        self._written.pop(key, None)
        self._starting.pop(key, None)
        self._metrics.jobs.pop(key, None)


def _only_moves_on(status: Status, last: Status) -> bool:
    """Whether nothing but the number of pods has changed on the way from one phase to the next."""
    return status.phase in MOVING and (status.phase, status.reason) == (last.phase, last.reason)


def _unchanged(state: State) -> list[dict[str, object]]:
    """Tests of a JSON patch: what must not be written over by one who hasn't seen it."""
    live = state.raw.get("status") or {}
    return [
        {"op": "test", "path": f"/status/{name}", "value": live[name]} for name in ("phase", "restarts") if name in live
    ]


def _created(state: State) -> datetime:
    return clock.parse(state.raw["metadata"].get("creationTimestamp")) or state.now
