"""Every object that the chart renders is one that Kubernetes knows, field by field, from the oldest version on."""

import copy

import pytest

from support.chart_values import VARIANTS
from support.helm import of_kind, rendered
from support.schemas import VERSIONS, problems


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_object_is_valid(variant: str, version: str) -> None:
    objects = rendered(VARIANTS[variant])
    assert objects
    found = {f"{each['kind']} {each['metadata']['name']}": problems(each, version) for each in objects}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_a_wrong_object_would_be_seen() -> None:
    (deployment,) = of_kind(rendered(), "Deployment")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    for change in ({"imagePulPolicy": "Always"}, {"ports": [{"containerPort": "http"}]}, {"name": None}):
        wrong = copy.deepcopy(deployment)
        wrong["spec"]["template"]["spec"]["containers"][0] = {**container, **change}
        assert len(problems(wrong, VERSIONS[0])) == 1
    (monitor,) = of_kind(rendered(VARIANTS["everything"]), "PodMonitor")
    monitor["spec"]["podMetricsEndpoints"][0]["relabeling"] = []
    assert len(problems(monitor, VERSIONS[0])) == 1
    assert problems({"apiVersion": "extensions/v1beta1", "kind": "Ingress"}, VERSIONS[0]) != []
