"""Control planes with our definitions: one with an operator of all, and one for operators that a test starts itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from kubernetes import client

from support.api_proxy import ApiProxy, api_proxy
from support.cluster import Namespace, namespace, until
from support.control_plane import ControlPlane, control_plane
from support.operator_process import OperatorProcess, operator
from trainyard_api import crd


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A cluster whose jobs nobody looks after but the test."""
    with _plane(tmp_path_factory.mktemp("control-plane")) as running:
        yield running


@pytest.fixture(scope="session")
def shared_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The cluster of the shared operator, which looks after every namespace of it."""
    with _plane(tmp_path_factory.mktemp("shared-control-plane")) as running:
        yield running


@contextmanager
def _plane(folder: Path) -> Iterator[ControlPlane]:
    """A cluster that knows TrainingJobs and TrainingRuntimes, with its controllers."""
    with control_plane(folder) as running:
        with running.api() as api:
            extensions = client.ApiextensionsV1Api(api)
            for name in (crd.FILE, crd.RUNTIME_FILE):
                definition = yaml.safe_load((Path(crd.__file__).parents[1] / name).read_text())
                extensions.create_custom_resource_definition(definition)
            for path in ("trainingjobs", "trainingruntimes"):
                until(f"{path} are served", lambda path=path: _served(running, path))
            for name in ("node-a", "node-0", "node-1", "node-2"):  # pods on nodes that aren't there are deleted
                client.CoreV1Api(api).create_node({"metadata": {"name": name}})
        running.start_controllers()
        yield running


def _served(plane: ControlPlane, plural: str) -> bool:
    try:
        with plane.get(f"/apis/trainyard.dev/v1alpha1/{plural}") as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="session")
def shared_operator(shared_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """The operator of all tests that do nothing to it."""
    with operator(shared_plane.kubeconfig(), tmp_path_factory.mktemp("operator") / "log") as running:
        yield running


@pytest.fixture
def space(
    shared_plane: ControlPlane, shared_operator: OperatorProcess, request: pytest.FixtureRequest
) -> Iterator[Namespace]:
    """A namespace of the test's own."""
    with namespace(shared_plane, _name(request.node.name)) as found:
        yield found


def _name(test: str) -> str:
    letters = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in test.lower())
    return f"{letters.removeprefix('test-')[:50].strip('-')}"


@pytest.fixture
def proxy(plane: ControlPlane) -> Iterator[ApiProxy]:
    with api_proxy(plane) as running:
        yield running


@pytest.fixture
def alone(plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """A namespace that only this test's operator looks after."""
    with namespace(plane, f"alone-{_name(request.node.name)}") as found:
        yield found
