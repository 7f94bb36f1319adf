"""Why a container isn't made, where the pod's own status doesn't tell: a volume that can't be mounted, say."""

import logging
import time
from datetime import timedelta

from trainyard_operator.api import EVENTS, UNREACHABLE, Api, ApiError, Object
from trainyard_operator.names import Key
from trainyard_operator.pod import Pod, Wait, plain
from trainyard_operator.state import State

_PATIENCE = timedelta(seconds=5)
_ASK_SECONDS = 10.0
_REASONS = {
    "FailedMount": "MissingConfig",
    "FailedAttachVolume": "MissingConfig",
    "FailedCreatePodSandBox": "ContainerError",
}

logger = logging.getLogger(__name__)


class Explainer:
    """Reads the warnings about a pod that has been starting for long. `found` is by the pod's UID."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._asked: dict[Key, float] = {}
        self._pods: dict[Key, set[str]] = {}  # UIDs in `found`, by job
        self.found: dict[str, Wait] = {}

    async def explain(self, state: State) -> float | None:
        """Ask, if it's time. Returns in how many seconds to look again; None: nothing is slow to start."""
        slow = [pod for pod in state.wanted if pod.node and not pod.ready and pod.phase == "Pending"]
        self._keep(state.key, {pod.uid for pod in slow})
        if not slow:
            self._asked.pop(state.key, None)
            return None
        due = self._asked.get(state.key, float("-inf")) + _ASK_SECONDS
        overdue = [each for each in slow if each.started and state.now - each.started >= _PATIENCE]
        if overdue and time.monotonic() >= due:
            self._asked[state.key] = time.monotonic()
            uid = overdue[0].uid
            self.found.pop(uid, None)
            if wait := await self._ask(state.key, overdue[0]):
                self.found[uid] = wait
                self._pods.setdefault(state.key, set()).add(uid)
        return _PATIENCE.total_seconds()

    def forget(self, key: Key) -> None:
        """The job is gone."""
        self._asked.pop(key, None)
        self._keep(key, set())

    def _keep(self, key: Key, slow: set[str]) -> None:
        """Forget what was found of pods that have started, or were replaced before they did."""
        for uid in self._pods.get(key, set()) - slow:
            self.found.pop(uid, None)
        if left := self._pods.pop(key, set()) & slow:
            self._pods[key] = left

    async def _ask(self, key: Key, pod: Pod) -> Wait | None:
        chosen = {"fieldSelector": f"involvedObject.uid={pod.uid},type=Warning", "limit": "100"}
        try:
            events = (await self._api.get(EVENTS.path(key.namespace), chosen)).get("items") or []
        except (ApiError, *UNREACHABLE) as error:  # an explanation is nothing to fail for: it is asked for again
            logger.warning("Why %s is slow to start can't be asked: %s", pod.name, error, extra={"job": str(key)})
            return None
        telling = [event for event in events if event.get("reason") in _REASONS]
        if not telling:
            return None
        newest = max(telling, key=_time)
        return Wait(_REASONS[newest["reason"]], plain(f"{newest['reason']}: {newest.get('message') or ''}"))


def _time(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")
