"""One control plane for the tests here, with the resource definition in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from kubernetes import client, watch

from support.control_plane import ControlPlane, control_plane
from trainyard_api import crd

DEFINITION = Path(crd.__file__).parents[1] / crd.FILE
_SECONDS = 60


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A cluster that knows TrainingJobs."""
    with control_plane(tmp_path_factory.mktemp("control-plane")) as running:
        with running.api() as api:
            _install(client.ApiextensionsV1Api(api))
        yield running


@pytest.fixture
def api(plane: ControlPlane) -> Iterator[client.ApiClient]:
    """A client with every right."""
    with plane.api() as opened:
        yield opened


def _install(extensions: client.ApiextensionsV1Api) -> None:
    body = yaml.safe_load(DEFINITION.read_text())
    name = extensions.create_custom_resource_definition(body).metadata.name
    for event in watch.Watch().stream(
        extensions.list_custom_resource_definition, field_selector=f"metadata.name={name}", timeout_seconds=_SECONDS
    ):
        conditions = {one.type: one for one in event["object"].status.conditions or []}
        if "NonStructuralSchema" in conditions:
            raise AssertionError(conditions["NonStructuralSchema"].message)
        if "Established" in conditions and conditions["Established"].status == "True":
            return
    raise AssertionError(f"{name} was not established within {_SECONDS} s")
