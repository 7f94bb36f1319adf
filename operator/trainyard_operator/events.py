"""Events: what `kubectl describe` shows. One per change of reason, under a name that makes saying it twice harmless."""

from trainyard_api.status import Status
from trainyard_operator import clock
from trainyard_operator.api import EVENTS, Api, ApiError
from trainyard_operator.names import MANAGER, owner
from trainyard_operator.pod import plain
from trainyard_operator.state import State

_SILENT = {"Starting", "Suspending"}  # every job passes through these
_NORMAL = {"Running", "Completed", "Suspended", "WaitingForNodes", "WaitingForQuota"}


class Recorder:
    """Tells the changes that a person should know of."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def record(self, state: State, status: Status) -> None:
        """Tell what is new in `status`, if it's worth telling. A refused event is no reason to stop."""
        last = state.status
        same = status.reason in _SILENT or (status.phase, status.reason) == (last.phase, last.reason)
        if same and status.restarts.attempt == last.restarts.attempt:
            return
        event = _event(state, status)
        try:
            await self._api.create(EVENTS, event)
        except ApiError as error:
            if error.status >= 500 or error.status == 429:
                raise


def _event(state: State, status: Status) -> dict[str, object]:
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
