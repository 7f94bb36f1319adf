"""A team in a namespace of its own, on a cluster that knows TrainingJobs and TrainingRuntimes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException

from support.control_plane import ControlPlane
from support.kubelet import Kubelet, kubelet
from support.team import Team
from trainyard_api import crd

RUNTIMES = Path(crd.__file__).parents[1] / crd.RUNTIME_FILE
_SECONDS = 60


@pytest.fixture(scope="session")
def runtimes(plane: ControlPlane) -> None:
    """The cluster knows TrainingRuntimes."""
    with plane.api() as api:
        extensions = client.ApiextensionsV1Api(api)
        body = yaml.safe_load(RUNTIMES.read_text())
        try:
            extensions.create_custom_resource_definition(body)
        except ApiException as error:
            if error.status != 409:  # it's there already
                raise
        for event in watch.Watch().stream(
            extensions.list_custom_resource_definition,
            field_selector=f"metadata.name={body['metadata']['name']}",
            timeout_seconds=_SECONDS,
        ):
            conditions = {one.type: one.status for one in event["object"].status.conditions or []}
            if conditions.get("Established") == "True":
                return
    raise AssertionError(f"TrainingRuntime was not established within {_SECONDS} s")


@pytest.fixture
def team(api: client.ApiClient, runtimes: None, tmp_path: Path) -> Team:
    """A namespace of its own."""
    return Team(api, tmp_path)


@pytest.fixture(scope="session")
def node(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubelet]:
    """A node whose logs can be asked for."""
    with plane.api() as api, kubelet(api, "worker-1", tmp_path_factory.mktemp("kubelet")) as running:
        yield running
