"""The resource definition on a real API server: it takes what the command line takes, and refuses what that refuses."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from support.any_job import SPEC, corrupt, documents, leaves, valid
from support.control_plane import ControlPlane
from support.manifests import DESIGN, RECIPE
from support.rule_cases import BROKEN, KEPT
from trainyard_api import rules
from trainyard_api.job import TrainingJob

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/job.yaml"))
NUMBERS = itertools.count()
RULES = [rule for value in vars(rules).values() if isinstance(value, tuple) for rule in value]


def create(api: client.ApiClient, document: dict[str, Any], *, keep: bool = False) -> dict[str, Any]:
    """Create a job, under a name of its own; only as a trial unless it is to be kept. Raises ApiException."""
    name = f"job-{next(NUMBERS)}"
    body = {**document, "metadata": {**document.get("metadata", {}), "name": name, "namespace": "default"}}
    trial = {} if keep else {"dry_run": "All"}
    return client.CustomObjectsApi(api).create_namespaced_custom_object(  # type: ignore[no-any-return]
        "trainyard.dev", "v1alpha1", "default", "trainingjobs", body, field_validation="Strict", **trial
    )


def refused(api: client.ApiClient, document: dict[str, Any]) -> str:
    with pytest.raises(ApiException) as caught:
        create(api, document)
    assert caught.value.status in (400, 422), caught.value
    return str(caught.value.body)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_every_example_is_taken_and_comes_back(api: client.ApiClient, path: Path) -> None:
    written = yaml.safe_load(path.read_text())
    back = create(api, written)
    assert (
        TrainingJob.model_validate({**written, "spec": back["spec"]}).spec == TrainingJob.model_validate(written).spec
    )


def test_the_whole_api_is_taken(api: client.ApiClient) -> None:
    back = create(api, yaml.safe_load(DESIGN))
    assert back["spec"] == yaml.safe_load(DESIGN)["spec"]


@pytest.mark.parametrize("name", BROKEN)
def test_rules_between_fields_hold_on_the_server(api: client.ApiClient, name: str) -> None:
    text, said = BROKEN[name]
    rule = next(rule for rule in RULES if rule.message[:20] in said)
    if rule.cel:
        assert rule.message in refused(api, yaml.safe_load(text))
    else:
        create(api, yaml.safe_load(text))  # left to the command line and the operator


@pytest.mark.parametrize("name", KEPT)
def test_what_the_rules_allow_is_taken(api: client.ApiClient, name: str) -> None:
    create(api, yaml.safe_load(KEPT[name]))


def test_an_unknown_field_is_refused_by_its_path(api: client.ApiClient) -> None:
    text = RECIPE + "    train: {epoch: 3}\n"
    assert 'unknown field \\"spec.recipe.train.epoch\\"' in refused(api, yaml.safe_load(text))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=documents())
def test_any_job_that_the_command_line_takes(api: client.ApiClient, document: dict[str, Any]) -> None:
    if valid(document):
        written = TrainingJob.model_validate(document).model_dump(by_alias=True, exclude_none=True)
        back = create(api, written)
        assert (
            TrainingJob.model_validate({**written, "spec": back["spec"]}).spec
            == TrainingJob.model_validate(written).spec
        )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=documents(), data=st.data())
def test_any_wrong_value_is_refused_by_its_path(
    api: client.ApiClient, document: dict[str, Any], data: st.DataObject
) -> None:
    places = leaves(SPEC, document["spec"], ("spec",))
    if not valid(document) or not places:
        return
    path, schema = data.draw(st.sampled_from(places))
    where = document
    for name in path[:-1]:
        where = where[name]
    where[path[-1]] = corrupt(schema)
    said = refused(api, document)
    assert re.search(rf"{re.escape('.'.join(path))}\b", said), said


def test_status_is_apart_and_scale_changes_the_nodes(api: client.ApiClient) -> None:
    jobs = client.CustomObjectsApi(api)
    job = create(api, yaml.safe_load(RECIPE + "  nodes: 2\n  elastic: {minNodes: 1, maxNodes: 3}\n"), keep=True)
    where = ("trainyard.dev", "v1alpha1", "default", "trainingjobs", job["metadata"]["name"])
    assert job["metadata"]["generation"] == 1

    told = {"status": {"phase": "Running", "nodes": 2, "selector": "a=b", "progress": {"step": 7, "loss": 0.5}}}
    seen = jobs.patch_namespaced_custom_object_status(*where, told)
    assert (seen["status"]["phase"], seen["metadata"]["generation"]) == ("Running", 1)
    unchanged = jobs.patch_namespaced_custom_object(*where, {"status": {"phase": "Failed"}})
    assert unchanged["status"]["phase"] == "Running"

    scale = jobs.get_namespaced_custom_object_scale(*where)
    assert (scale["spec"]["replicas"], scale["status"]["replicas"], scale["status"]["selector"]) == (2, 2, "a=b")
    jobs.patch_namespaced_custom_object_scale(*where, {"spec": {"replicas": 3}})
    assert jobs.get_namespaced_custom_object(*where)["spec"]["nodes"] == 3
    with pytest.raises(ApiException) as caught:
        jobs.patch_namespaced_custom_object_scale(*where, {"spec": {"replicas": 4}})
    assert "nodes is outside the bounds of elastic" in str(caught.value.body)


def test_columns_say_how_far_a_job_is(plane: ControlPlane, api: client.ApiClient) -> None:
    job = create(api, yaml.safe_load(RECIPE), keep=True)
    name = job["metadata"]["name"]
    where = ("trainyard.dev", "v1alpha1", "default", "trainingjobs", name)
    told = {"status": {"phase": "Running", "reason": "Training", "progress": {"step": 7, "loss": 0.25}}}
    client.CustomObjectsApi(api).patch_namespaced_custom_object_status(*where, told)
    place = f"/apis/trainyard.dev/v1alpha1/namespaces/default/trainingjobs/{name}"
    with plane.get(place, accept="application/json;as=Table;v=v1;g=meta.k8s.io") as answer:
        table = json.load(answer)
    shown = dict(zip([column["name"] for column in table["columnDefinitions"]], table["rows"][0]["cells"], strict=True))
    assert (shown["Phase"], shown["Step"], shown["Reason"]) == ("Running", 7, "Training")
    assert float(shown["Loss"]) == 0.25
