"""The operator is killed before and after each of its writes: what comes of the job, and at how many writes, is the
same as if nothing had happened."""

import itertools
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.api_proxy import PASS, ApiProxy, Fault, Request, api_proxy
from support.cluster import Object, namespace
from support.control_plane import ControlPlane
from support.forked_operator import ForkedOperator
from support.scenarios import SCENARIOS, Scenario, create
from support.stage import Stage, View

STATUS = "PATCH trainingjobs/status"
_AT_ONCE = 4
_CONSTANTS = {"reconcile.STARTING_SECONDS": 3600.0}  # whether a start is told of would depend on its speed


class Crash:
    """Kills the operator before or after the write `number`, counted from `arm` on."""

    def __init__(self, proxy: ApiProxy, number: int, when: str) -> None:
        self._proxy, self._number, self._when = proxy, number, when
        self._armed, self._seen, self.before = False, 0, 0

    def arm(self) -> None:
        self.before = len(self._proxy.writes)
        self._armed = True

    def __call__(self, request: Request) -> Fault:
        if not (self._armed and request.write):
            return PASS
        self._seen += 1
        if self._seen != self._number:
            return PASS
        return Fault("cut before" if self._when == "before" else "cut after", sever=True)


class Play:
    """Plays scenarios, each in a namespace of its own."""

    def __init__(self, plane: ControlPlane, view: View, folder: Path) -> None:
        self._plane, self._view, self._folder = plane, view, folder
        self._numbers = itertools.count()

    def play(self, scenario: Scenario, number: int = 0, when: str = "before") -> tuple[Object, Counter[str], int]:
        """Outcome, writes by kind, and how often the operator crashed."""
        name = f"{scenario.name}-{number}-{when}-{next(self._numbers)}"
        with (
            api_proxy(self._plane) as proxy,
            namespace(self._plane, name) as space,
        ):
            log = self._folder / f"{name}.log"
            operator = ForkedOperator(proxy.through, log, _CONSTANTS, TRAINYARD_NAMESPACES=name)
            operator.start()
            try:
                return self._follow(scenario, Stage(self._view, space, proxy, operator), number, when)
            finally:
                operator.kill()

    def _follow(self, scenario: Scenario, stage: Stage, number: int, when: str) -> tuple[Object, Counter[str], int]:
        crash = stage.proxy.choose = Crash(stage.proxy, number, when)
        if scenario.begin:
            create(stage, **scenario.spec)
            scenario.begin(stage)
            crash.arm()
        else:
            crash.arm()
            create(stage, **scenario.spec)
        scenario.go_on(stage)
        stage.settle()
        return stage.outcome(), Counter(stage.proxy.writes[crash.before :]), stage.crashes


@pytest.fixture(scope="module")
def play(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    with View(plane).running() as view:
        yield Play(plane, view, tmp_path_factory.mktemp("crashes"))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_crash_changes_nothing(play: Play, scenario: Scenario) -> None:
    outcome, writes, _ = play.play(scenario)
    count = writes.total()
    print(scenario.name, dict(writes))  # noqa: T201
    points = [(number, when) for number in range(1, count + 1) for when in ("before", "after")]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(lambda point: play.play(scenario, *point), points))
    assert all(crashes == 1 for _, _, crashes in found)
    wrong = [
        f"{point}: {difference}"
        for point, (other, others, _) in zip(points, found, strict=True)
        for difference in [*_differences(other, outcome), *_more_or_fewer(others, writes)]
    ]
    assert not wrong, "\n".join(wrong)


def _differences(found: Object, wanted: Object) -> list[str]:
    return [f"{part}: {found[part]} instead of {wanted[part]}" for part in wanted if found[part] != wanted[part]]


def _more_or_fewer(found: Counter[str], wanted: Counter[str]) -> list[str]:
    """A status that was over before the operator came back is never written: fewer of those are right, more aren't."""
    return [
        f"{found[kind]} times {kind} instead of {wanted[kind]}"
        for kind in {*found, *wanted}
        if found[kind] > wanted[kind] or (found[kind] < wanted[kind] and kind != STATUS)
    ]
