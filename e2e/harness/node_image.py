"""The image of the cluster's nodes: kind's own, else one made from packages with the Kubernetes that we build."""

import hashlib
import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness import debian, tools
from harness.docker import docker, has_image, pull
from harness.places import IMAGES
from harness.process import run, step
from support import go
from support.control_plane import build
from support.control_plane.versions import KUBERNETES

# What kind 0.30 itself names, in pkg/apis/config/defaults.
OFFICIAL = "kindest/node:v1.34.0@sha256:7416a61b42b1662ca6ca89f02028ac133a309a2a30ba309614e8ec94d976dc5a"
_NODE = IMAGES / "node"
_NODE_PACKAGES = (
    "systemd dbus iproute2 iptables conntrack kmod procps ethtool socat mount ca-certificates curl jq containerd runc "
    "containernetworking-plugins ebtables hostname rsync openssl netbase iputils-ping pigz"
)
_PAUSE = "registry.k8s.io/pause:3.10"  # what kind's containerd asks for; kubeadm lists another


@dataclass(frozen=True)
class NodeImage:
    """An image, and whether it brings a network for pods."""

    tag: str
    has_network: bool


def node_image() -> NodeImage:
    """kindest/node if it can be pulled, else our own, made at the first call. Raises Failed."""
    if pull(OFFICIAL):
        return NodeImage(OFFICIAL, has_network=True)
    tag = f"trainyard-e2e-node:v{KUBERNETES}-{_digest()}"
    if not has_image(tag):
        _make(tag)
    return NodeImage(tag, has_network=False)


def _digest() -> str:
    """Of everything that goes into the image."""
    sources = [path for path in sorted(_NODE.rglob("*")) if path.is_file()]
    content = b"".join(path.read_bytes() for path in [Path(__file__), *sources])
    return hashlib.sha256(content + tools.KIND.encode()).hexdigest()[:12]


def _make(tag: str) -> None:
    with step("Kubernetes, from Go modules"):
        programs = build.built()
    base = debian.image("trainyard-e2e-debian", "iptables conntrack ca-certificates kmod")
    node = debian.image("trainyard-e2e-debian-node", _NODE_PACKAGES)
    with step(f"image {tag}"), tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        shutil.copy(programs / build.PROGRAM, folder / "kubernetes")
        _build_pause(folder / "pause")
        _save_control_plane(folder, base)
        _copy_kind_files(folder)
        plain = f"{tag}-empty"
        docker("build", "-t", plain, "-f", str(_NODE / "node.Dockerfile"), "--build-arg", f"BASE={node}", work)
        _fill(plain, tag, folder)


def _build_pause(path: Path) -> None:
    words = [go.command(), "build", "-buildvcs=false", "-ldflags", "-s -w", "-o", str(path)]
    run("env", "-C", str(_NODE / "pause"), "CGO_ENABLED=0", *words)


def _save_control_plane(folder: Path, base: str) -> None:
    """Write images.tar: every image that kubeadm asks for, under its official name."""
    for target in ("kubernetes", "coredns", "pause"):
        recipe = str(_NODE / "kubernetes.Dockerfile")
        tag = f"trainyard-e2e-{target}"
        docker("build", "--target", target, "-t", tag, "-f", recipe, "--build-arg", f"BASE={base}", str(folder))
    kubeadm = str(build.FOLDER / "kubeadm")
    wanted = [*run(kubeadm, "config", "images", "list", "--kubernetes-version", f"v{KUBERNETES}").split(), _PAUSE]
    for image in wanted:
        name = re.split("[/:]", image.removeprefix("registry.k8s.io/"))[0]
        ours = name if name in ("coredns", "pause") else "kubernetes"
        docker("tag", f"trainyard-e2e-{ours}", image)
    docker("save", "-o", str(folder / "images.tar"), *wanted)
    docker("rmi", *wanted)  # nobody else shall take ours for the official ones


def _copy_kind_files(folder: Path) -> None:
    """What kind's node image holds besides packages, from the module of the kind that will use it."""
    module = f"sigs.k8s.io/kind@v{tools.KIND}"
    found = json.loads(run("env", "-C", "/", go.command(), "mod", "download", "-json", module))
    files = folder / "files"
    shutil.copytree(Path(found["Dir"], "images", "base", "files"), files)
    run("chmod", "-R", "u+w", str(files))
    settings = files / "etc" / "containerd" / "config.toml"
    text = settings.read_text()
    settings.write_text(text.replace("restrict_oom_score_adj = false", "restrict_oom_score_adj = true"))
    network, storage = (_NODE / "manifests.yaml").read_text().split("---\n")
    (folder / "manifests").mkdir()
    (folder / "manifests" / "default-cni.yaml").write_text(network)
    (folder / "manifests" / "default-storage.yaml").write_text(storage)
    (folder / "version").write_text(f"v{KUBERNETES}")


def _fill(plain: str, tag: str, folder: Path) -> None:
    """Put the control plane's images into the node's containerd. --no-unpack: that waits until /var is a volume."""
    script = (
        "containerd > /log 2>&1 & p=$!; until ctr version > /dev/null 2>&1; do sleep 0.2; done; "
        "ctr -n k8s.io images import --all-platforms --no-unpack /in/images.tar > /dev/null || exit 1; "
        "kill $p; wait; rm -rf /log /run/containerd"
    )
    volume = f"{folder}:/in"
    box = docker("run", "-d", "--privileged", "--entrypoint", "sleep", "-v", volume, plain, "infinity")
    try:
        docker("exec", box, "bash", "-c", script)
        entrypoint = 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]'
        docker("commit", "--change", entrypoint, box, tag)
    finally:
        docker("rm", "-f", box)
