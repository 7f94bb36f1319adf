"""The cluster that everything else here stands on: nodes, images, a network, and storage that pods reach."""

import json
from typing import Any

import pytest

from harness import s3
from harness.cluster import Cluster
from harness.docker import docker
from harness.images import Images
from harness.pods import finish, pod
from support.s3_server import S3Server


def test_every_node_is_ready(cluster: Cluster) -> None:
    nodes = {node["metadata"]["name"]: node["status"]["conditions"] for node in cluster.get("nodes")["items"]}
    assert len(nodes) == 3
    assert {name for name, conditions in nodes.items() if not _is_ready(conditions)} == set()


@pytest.mark.parametrize("worker", [0, 1])
def test_the_trainer_runs_on_every_worker(cluster: Cluster, images: Images, namespace: str, worker: int) -> None:
    program = "import torch, trainyard_trainer.train; print(torch.ones(2).sum().item())"
    document = pod("trainer", images.trainer, ["python", "-c", program], node=cluster.workers()[worker])
    assert finish(cluster, namespace, document).splitlines()[-1] == "2.0"


def test_pods_on_other_nodes_are_found_by_name(cluster: Cluster, images: Images, namespace: str) -> None:
    first, second = cluster.workers()
    server = pod("server", images.trainer, ["python", "-m", "http.server", "-d", "/opt/trainyard", "8000"], node=first)
    service: dict[str, Any] = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "server"}}
    service["spec"] = {"clusterIP": "None", "selector": {"app": "server"}, "ports": [{"port": 8000}]}
    cluster.kubectl("-n", namespace, "apply", "-f", "-", input=json.dumps(service))
    cluster.kubectl("-n", namespace, "apply", "-f", "-", input=json.dumps(server))
    cluster.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/server", "--timeout=60s")
    program = "import urllib.request as u; print(len(u.urlopen('http://server:8000/sbom.cdx.json', timeout=30).read()))"
    assert int(finish(cluster, namespace, pod("asker", images.trainer, ["python", "-c", program], node=second))) > 1000


def test_a_pod_writes_to_storage_what_we_read_outside(
    cluster: Cluster, images: Images, namespace: str, s3_server: S3Server
) -> None:
    bucket = s3_server.bucket()
    program = f"from trainyard_storage.store import open_store; open_store('{bucket}/from').put('a-pod', b'hello')"
    inside = {**s3_server.environment(), "AWS_ENDPOINT_URL": s3.INSIDE}
    finish(cluster, namespace, pod("writer", images.trainer, ["python", "-c", program], environment=inside))
    found = s3_server.client().get_object(Bucket=bucket.removeprefix("s3://"), Key="from/a-pod")
    assert found["Body"].read() == b"hello"


@pytest.mark.parametrize("part", ["operator", "trainer"])
def test_an_image_lists_what_is_installed_in_it(images: Images, part: str) -> None:
    image = getattr(images, part)
    program = "import json; from importlib.metadata import distributions as all; "
    program += "print(json.dumps({one.name.lower(): one.version for one in all()}))"
    installed = json.loads(_in(image, "python", "-c", program))
    bill = json.loads(_in(image, "cat", "/opt/trainyard/sbom.cdx.json"))
    assert bill["bomFormat"] == "CycloneDX"
    assert {one["name"].lower(): one["version"] for one in bill["components"]} == installed
    assert ("torch" in installed) == (part == "trainer")


def test_images_are_small_where_they_must_be(images: Images) -> None:
    operator, trainer = (
        int(docker("image", "inspect", "--format", "{{.Size}}", name)) for name in (images.operator, images.trainer)
    )
    history = docker("history", "--no-trunc", "--human=false", "--format", "{{.Size}} {{.CreatedBy}}", images.trainer)
    (code,) = (int(line.split()[0]) for line in history.splitlines() if "/wheel/*.whl" in line)
    print(f"operator {operator / 1e6:.0f} MB, trainer {trainer / 1e6:.0f} MB, of that our code {code / 1e6:.1f} MB")
    assert operator < 200e6
    assert code < 50e6


@pytest.mark.parametrize("part", ["operator", "trainer"])
def test_an_image_is_made_for_a_restricted_pod(images: Images, part: str) -> None:
    settings: Any = json.loads(docker("image", "inspect", "--format", "{{json .Config}}", getattr(images, part)))
    assert settings["User"] == "65532:65532"
    assert settings["Labels"]["org.opencontainers.image.title"] == f"trainyard-{part}"
    assert settings["Labels"]["org.opencontainers.image.version"]


def _in(image: str, *words: str) -> str:
    return docker("run", "--rm", "--read-only", "--network", "none", "--entrypoint", words[0], image, *words[1:])


def _is_ready(conditions: list[dict[str, str]]) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
