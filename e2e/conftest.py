"""The cluster for the end-to-end tests, namespaces for each, and what a failed test leaves to look at."""

from collections.abc import Generator, Iterator

import pytest

from harness import product, s3, setup
from harness.artifacts import keep
from harness.cluster import Cluster
from harness.images import Images
from support.s3_server import S3Server

_FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def ready() -> setup.Ready:
    """All of it, made if need be."""
    return setup.up()


@pytest.fixture(scope="session")
def images(ready: setup.Ready) -> Images:
    """Tags of the images, which every worker has."""
    return ready.images


@pytest.fixture(scope="session")
def cluster(ready: setup.Ready) -> Cluster:
    """The running cluster."""
    return ready.cluster


@pytest.fixture(scope="session")
def s3_server(cluster: Cluster) -> S3Server:
    """The S3 server in the cluster, as this machine reaches it; `s3.INSIDE` is how pods do."""
    return s3.outside(cluster)


@pytest.fixture(scope="session")
def operator(cluster: Cluster, images: Images) -> str:
    """The product, installed by its chart; the namespace it is in."""
    product.install(cluster, images)
    return product.SYSTEM


@pytest.fixture
def team(operator: str, cluster: Cluster, namespace: str, s3_server: S3Server) -> product.Team:
    """People who train: a namespace with a bucket, the digits in it."""
    return product.Team.make(cluster, namespace, s3_server)


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty namespace of the test's own. If the test fails, what is in it is kept first."""
    name = request.node.name.lower().replace("_", "-").translate(str.maketrans("[]", "--")).strip("-")[:60].strip("-")
    cluster.kubectl("create", "namespace", name)
    try:
        yield name
        if request.node.stash.get(_FAILED, False):
            keep(cluster, name)
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let fixtures know that their test failed."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report
