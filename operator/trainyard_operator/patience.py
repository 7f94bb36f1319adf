"""When what the API server has refused is tried again: not at every look, and ever more rarely."""

import time
from typing import NamedTuple

from trainyard_operator.actions import Action, Create, child
from trainyard_operator.api import PODS
from trainyard_operator.names import Key
from trainyard_operator.state import State, Trouble

_SECONDS = 10.0  # after the first refusal, and each time in a row as much longer
_MOST_SECONDS = 60.0  # a quota that was raised is noticed by then


class _Refused(NamedTuple):
    times: int  # in a row
    generation: int  # of the job
    due: float


class Patience:
    """How often in a row something of a job was refused, while its spec was the same, and until when that is borne."""

    def __init__(self) -> None:
        self._last: dict[Key, _Refused] = {}

    def refused(self, state: State) -> None:
        """Something was, once more."""
        last = self._last.get(state.key)
        times = last.times + 1 if last and last.generation == state.generation else 1
        due = time.monotonic() + min(times * _SECONDS, _MOST_SECONDS)
        self._last[state.key] = _Refused(times, state.generation, due)

    def seconds(self, state: State) -> float:
        """Until what was refused is tried again; 0: now, also because the spec has changed."""
        last = self._last.get(state.key)
        return max(0.0, last.due - time.monotonic()) if last and last.generation == state.generation else 0.0

    def held(self, state: State, actions: list[Action]) -> dict[str, Trouble]:
        """Pods that aren't made for now, and what was said when they were tried. The few other children always are."""
        if not self.seconds(state):
            return {}
        made = [child(action) for action in actions if isinstance(action, Create) and action.resource == PODS]
        return {name: state.refusals[name] for name in made if name in state.refusals}

    def forget(self, key: Key) -> None:
        """Nothing is refused any more, or the job is gone."""
        self._last.pop(key, None)
