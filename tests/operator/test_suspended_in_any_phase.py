"""A job suspended whatever it is doing: a live one lets go of its pods and comes back; one that has ended stays so."""

import contextlib
from collections.abc import Callable

import pytest
from kubernetes.client import ApiException

from support.cluster import Namespace, until
from support.phases import ENDED, LIVE

Phase = Callable[[Namespace], None]


@pytest.mark.parametrize("phase", LIVE, ids=lambda phase: phase.__name__)
def test_a_live_one_lets_go_and_comes_back(space: Namespace, phase: Phase) -> None:
    space.create("digits")
    phase(space)
    counted = space.status("digits").get("restarts", {"user": 0, "infrastructure": 0})
    space.patch("digits", suspend=True)
    until("no pod is left", lambda: _gone(space))
    space.when("digits", phase="Suspended")
    space.patch("digits", suspend=False)
    space.run_all("digits")
    restarts = space.status("digits")["restarts"]
    assert (restarts["user"], restarts["infrastructure"]) == (counted["user"], counted["infrastructure"])


@pytest.mark.parametrize("phase", ENDED, ids=lambda phase: phase.__name__)
def test_one_that_has_ended_stays_as_it_is(space: Namespace, phase: Phase) -> None:
    space.create("digits")
    phase(space)
    before = space.status("digits")
    generation = space.patch("digits", suspend=True)["metadata"]["generation"]
    after = space.when("digits", observedGeneration=generation)
    assert {**after, "observedGeneration": 0} == {**before, "observedGeneration": 0}
    assert sorted(space.pods("digits")) == ["digits-0", "digits-1"]


def _gone(space: Namespace) -> bool:
    """Whether all pods are gone; those on their way out are confirmed, as kubelets would."""
    pods = space.pods("digits")
    for name, pod in pods.items():
        if "deletionTimestamp" in pod["metadata"]:
            with contextlib.suppress(ApiException):  # gone by itself
                space.remove(name)
    return not pods
