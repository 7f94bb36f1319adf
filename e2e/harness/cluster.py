"""The kind cluster of the tests: one control-plane node and two workers."""

import contextlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import kernel, network, tools
from harness.docker import client, docker
from harness.node_image import NodeImage
from harness.places import CLUSTER, STATE
from harness.process import Failed, run, step

KUBECONFIG = STATE / "kubeconfig"
_ARCHIVES = STATE / "archives"  # of images; every node sees it as /archives
_MADE_FROM = STATE / "cluster.json"
_LOADED = "/kind/loaded-images.json"  # in a node


@dataclass(frozen=True)
class Cluster:
    """A running cluster. Programs reach it with `environment`."""

    kubeconfig: Path = KUBECONFIG

    @property
    def environment(self) -> dict[str, str]:
        """The variable by which kubectl, helm and Python find this cluster."""
        return {"KUBECONFIG": str(self.kubeconfig)}

    def kubectl(self, *words: str, input: str | None = None) -> str:
        """What kubectl prints. Raises Failed."""
        return run(tools.kubectl(), *words, input=input.encode() if input else None, env=self.environment)

    def helm(self, *words: str) -> str:
        """What helm prints. Raises Failed."""
        return run(tools.helm(), *words, env=self.environment)

    def get(self, *words: str) -> Any:
        """`kubectl get words` as a document. Raises Failed."""
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def nodes(self) -> list[str]:
        """Names of all nodes, which are also those of their containers."""
        return sorted(_kind("get", "nodes", "--name", CLUSTER).split())

    def workers(self) -> list[str]:
        """Names of the nodes that pods run on."""
        return [node for node in self.nodes() if "control-plane" not in node]

    def outside(self, namespace: str, service: str) -> str:
        """Address and port by which this machine reaches a Service of the type NodePort."""
        port = self.get("-n", namespace, "service", service)["spec"]["ports"][0]["nodePort"]
        addresses = self.get("node", self.workers()[0])["status"]["addresses"]
        return f"{next(one['address'] for one in addresses if one['type'] == 'InternalIP')}:{port}"

    def load(self, *images: str) -> None:
        """Put images of docker's into the workers that lack them: all in one archive, their common layers once."""
        wanted = {image: docker("image", "inspect", "--format", "{{.Id}}", image) for image in images}
        lacking = {node: wanted.items() - _loaded(node).items() for node in self.workers()}
        late = sorted(image for image, _ in set().union(*lacking.values()))
        if late:
            with step(f"load {', '.join(late)}"), _saved(late) as archive:
                marks = json.dumps(wanted)
                script = f"ctr -n k8s.io images import /archives/{archive.name} > /dev/null; echo '{marks}' > {_LOADED}"
                _everywhere([node for node, missing in lacking.items() if missing], script)


def ensure(image: NodeImage) -> Cluster:
    """A healthy cluster of this node image: the one that was left, or a new one. Raises Failed."""
    cluster = Cluster()
    made_from = json.dumps([image.tag, _configuration(image)])
    if CLUSTER in _kind("get", "clusters").split():
        with contextlib.suppress(Failed, FileNotFoundError):
            if _MADE_FROM.read_text() == made_from:
                cluster.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=10s")
                return cluster
        delete()
    kernel.remember()
    with step("cluster"):
        _create(cluster, image)
    _MADE_FROM.write_text(made_from)
    return cluster


def delete() -> None:
    """Remove the cluster, if there is one."""
    _kind("delete", "cluster", "--name", CLUSTER)
    kernel.restore()


def _create(cluster: Cluster, image: NodeImage) -> None:
    _ARCHIVES.mkdir(parents=True, exist_ok=True)
    settings = STATE / "kind.json"
    settings.write_text(_configuration(image))
    _kind("create", "cluster", "--name", CLUSTER, "--image", image.tag, "--config", str(settings))
    if not image.has_network:
        network.connect(cluster.nodes(), cluster.get("nodes")["items"])
    cluster.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=120s")


def _configuration(image: NodeImage) -> str:
    mount = {"hostPath": str(_ARCHIVES), "containerPath": "/archives", "readOnly": True}
    roles = ("control-plane", "worker", "worker")
    document = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": {"disableDefaultCNI": not image.has_network},
        "nodes": [{"role": role, "extraMounts": [mount]} for role in roles],
    }
    return json.dumps(document)


@contextlib.contextmanager
def _saved(images: list[str]) -> Iterator[Path]:
    """A file with the images, gone after the block."""
    path = _ARCHIVES / "images.tar"
    try:
        docker("save", "-o", str(path), *images)
        yield path
    finally:
        path.unlink(missing_ok=True)


def _everywhere(nodes: list[str], script: str) -> None:
    """Run `script` in these nodes at the same time. Raises Failed if it fails in one."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda node: docker("exec", node, "sh", "-ec", script), nodes))


def _loaded(node: str) -> dict[str, str]:
    """Ids of the images that were put into a node, by their tags."""
    found: dict[str, str] = json.loads(docker("exec", node, "sh", "-c", f"cat {_LOADED} 2> /dev/null || echo {{}}"))
    return found


def _kind(*words: str) -> str:
    """kind, with the docker that we use and a kubeconfig of its own."""
    path = f"{Path(client()).parent}:{os.environ['PATH']}"
    return run(tools.kind(), *words, env={"PATH": path, "KUBECONFIG": str(KUBECONFIG)})
