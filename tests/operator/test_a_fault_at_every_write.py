"""The operator is killed before and after each of its writes, or told of a conflict instead: what comes of the job, and
at how many writes, is the same as if nothing had happened."""

import itertools
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.api_proxy import PASS, ApiProxy, Fault, Request, api_proxy
from support.cluster import Object, namespace, until
from support.control_plane import ControlPlane
from support.forked_operator import ForkedOperator
from support.scenarios import SCENARIOS, Scenario, create
from support.stage import Stage, View

STATUS = "PATCH trainingjobs/status"
_AT_ONCE = 4
_CONSTANTS = {"reconcile.STARTING_SECONDS": 3600.0}  # whether a start is told of would depend on its speed
FAULTS = {
    "before": Fault("cut before", sever=True),
    "after": Fault("cut after", sever=True),
    "conflict": Fault("answer", status=409, reason="Conflict"),  # a quota that another write has changed meanwhile
}


class Disturbance:
    """Has the write `number`, counted from `arm` on, come to grief; `sever` stands for a crash of the operator."""

    def __init__(self, proxy: ApiProxy, number: int, fault: Fault) -> None:
        self._proxy, self._number, self._fault = proxy, number, fault
        self._armed, self._seen, self.before = False, 0, 0

    def arm(self) -> None:
        until("no write is under way", lambda: not self._proxy.under_way)
        self.before = len(self._proxy.writes)
        self._armed = True

    def __call__(self, request: Request) -> Fault:
        if not (self._armed and request.write):
            return PASS
        self._seen += 1
        return self._fault if self._seen == self._number else PASS


class Play:
    """Plays scenarios, each in a namespace of its own."""

    def __init__(self, plane: ControlPlane, view: View, folder: Path) -> None:
        self._plane, self._view, self._folder = plane, view, folder
        self._numbers = itertools.count()

    def play(self, scenario: Scenario, number: int = 0, what: str = "before") -> tuple[Object, Counter[str], int]:
        """Outcome, writes by kind, and how often the operator crashed."""
        name = f"{scenario.name}-{number}-{what}-{next(self._numbers)}"
        with (
            api_proxy(self._plane) as proxy,
            namespace(self._plane, name) as space,
        ):
            log = self._folder / f"{name}.log"
            operator = ForkedOperator(proxy.through, log, _CONSTANTS, TRAINYARD_NAMESPACES=name)
            operator.start()
            try:
                return self._follow(scenario, Stage(self._view, space, proxy, operator), number, what)
            finally:
                operator.kill()

    def _follow(self, scenario: Scenario, stage: Stage, number: int, what: str) -> tuple[Object, Counter[str], int]:
        disturbance = stage.proxy.choose = Disturbance(stage.proxy, number, FAULTS[what])
        if scenario.begin:
            create(stage, **scenario.spec)
            scenario.begin(stage)
            disturbance.arm()
        else:
            disturbance.arm()
            create(stage, **scenario.spec)
        scenario.go_on(stage)
        stage.settle()
        return stage.outcome(), Counter(stage.proxy.writes[disturbance.before :]), stage.crashes


@pytest.fixture(scope="module")
def play(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    with View(plane).running() as view:
        yield Play(plane, view, tmp_path_factory.mktemp("crashes"))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_neither_a_crash_nor_a_conflict_changes_anything(play: Play, scenario: Scenario) -> None:
    outcome, writes, _ = play.play(scenario)
    count = writes.total()
    print(scenario.name, dict(writes))  # noqa: T201
    points = [(number, what) for number in range(1, count + 1) for what in FAULTS]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(lambda point: play.play(scenario, *point), points))
    crashes = [crashes for _, _, crashes in found]
    assert crashes == [int(FAULTS[what].sever) for _, what in points]
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
