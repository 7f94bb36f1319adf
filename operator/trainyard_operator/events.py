"""Events: what `kubectl describe` shows. One per change of reason, under a name that makes saying it twice harmless."""

import asyncio
import logging
import time

from trainyard_api.status import Status
from trainyard_operator import clock
from trainyard_operator.api import EVENTS, UNREACHABLE, Api, ApiError, Object
from trainyard_operator.names import MANAGER, Key, owner
from trainyard_operator.pod import plain
from trainyard_operator.state import State

_SILENT = {"Starting", "Suspending"}  # every job passes through these
_NORMAL = {"Running", "Completed", "Suspended", "WaitingForNodes", "WaitingForQuota"}
_SECONDS = 3.0  # what an event is waited for: the status, and what follows from it, waits meanwhile
_AGAIN_SECONDS = 10.0

logger = logging.getLogger(__name__)


class Recorder:
    """Tells the changes that a person should know of."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._owed: dict[Key, tuple[float, Object]] = {}  # the last one if it couldn't be told, and when to try again

    async def record(self, state: State, status: Status) -> None:
        """Tell what is new in `status`, if it's worth telling. Whatever becomes of the event, nothing is raised."""
        last = state.status
        same = status.reason in _SILENT or (status.phase, status.reason) == (last.phase, last.reason)
        if same and status.restarts.attempt == last.restarts.attempt:
            return
        await self._tell(state.key, _event(state, status))

    async def catch_up(self, key: Key) -> float | None:
        """Tell what is owed, if it's time. Returns in how many seconds it is; None: nothing is owed."""
        if key in self._owed and self._owed[key][0] <= time.monotonic():
            await self._tell(key, self._owed[key][1])
        return max(0.0, self._owed[key][0] - time.monotonic()) if key in self._owed else None

    def forget(self, key: Key) -> None:
        """The job is gone."""
        self._owed.pop(key, None)

    async def _tell(self, key: Key, event: Object) -> None:
        self._owed.pop(key, None)
        wait = _AGAIN_SECONDS
        try:
            async with asyncio.timeout(_SECONDS):
                await self._create(event)
            return
        except ApiError as error:
            if not error.passing:  # there is one already, or none is wanted
                return
            said, wait = str(error), max(wait, error.retry_after)
        except UNREACHABLE as error:
            said = f"no answer ({error or type(error).__name__})"
        logger.warning("An event can't be told now: %s", said, extra={"job": str(key)})
        self._owed[key] = (time.monotonic() + wait, event)

    async def _create(self, event: Object) -> None:
        try:
            await self._api.create(EVENTS, event)
        except ApiError as error:
            if error.reason != "Conflict":
                raise
            await self._api.create(EVENTS, event)  # a quota has changed at the same moment


def _event(state: State, status: Status) -> Object:
    key, moment = state.key, clock.seconds(state.now)
    transition = f"{status.restarts.attempt}-{status.restarts.user}-{state.generation}-{status.reason}".lower()
    reference = {
        name: value for name, value in owner(state.raw).items() if name in ("apiVersion", "kind", "name", "uid")
    }
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{key.name}.{state.uid[:8]}.{transition}"[:253], "namespace": key.namespace},
        "involvedObject": {**reference, "namespace": key.namespace},
        "type": "Normal" if status.reason in _NORMAL else "Warning",
        "reason": status.reason,
        "message": plain(status.message, 1000),
        "source": {"component": MANAGER},
        "reportingComponent": MANAGER,
        "reportingInstance": MANAGER,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }
