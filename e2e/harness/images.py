"""Our own images, and those of what the tests bring to the cluster."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness import debian
from harness.docker import docker, pull
from harness.places import IMAGES, ROOT
from harness.process import step
from support import discovery, prometheus, s3_server

_TAG = "e2e"
_TORCH = "trainyard-e2e-torch:latest"
_PLACES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


@dataclass(frozen=True)
class Images:
    """Tags of the images that a cluster needs; they are in docker, and nowhere to be pulled from."""

    operator: str = f"trainyard-operator:{_TAG}"
    trainer: str = f"trainyard-trainer:{_TAG}"
    payload: str = f"trainyard-payload:{_TAG}"
    own: str = _TORCH  # of somebody who trains: Python and torch, and nothing of ours
    prometheus: str = f"trainyard-e2e-prometheus:{_TAG}"
    s3: str = f"trainyard-e2e-s3:{s3_server.VERSION}"


def build_images() -> Images:
    """Build them all, as far as something changed. Raises Failed."""
    images = Images()
    base = _base()
    with step("image of the operator"):
        _build("operator", images.operator, base)
    with step("image of the trainer"):
        # Nodes here have no GPU: torch comes without NVIDIA's libraries, 2 GB instead of 5.
        for target in ("tools", "base"):
            _build(target, f"trainyard-e2e-{target}", base)
        recipe = ["-f", str(IMAGES / "torch.Dockerfile"), "--build-arg", "BASE=trainyard-e2e-base"]
        _docker_build(*recipe, "--build-arg", "TOOLS=trainyard-e2e-tools", "-t", _TORCH)
        _build("trainer", images.trainer, [*base, "--build-arg", f"TORCH={_TORCH}"])
    with step("image of the payload"):
        _build("payload", images.payload, base)
    with step("images of the S3 server and Prometheus"):
        _build_of("s3", images.s3, {"versitygw": s3_server.binary()})
        server = {"prometheus": prometheus.binary("prometheus"), "discovery.py": Path(discovery.__file__)}
        _build_of("prometheus", images.prometheus, server)
    return images


def _base() -> list[str]:
    """Nothing if the Dockerfile's own base can be pulled, else the argument that names another."""
    recipe = (ROOT / "Dockerfile").read_text()
    named = next(line for line in recipe.splitlines() if line.startswith("ARG BASE=")).removeprefix("ARG BASE=")
    if pull(named):
        return []
    return ["--build-arg", f"BASE={debian.image('trainyard-e2e-python', 'python3 python3-venv ca-certificates')}"]


def _build(target: str, tag: str, arguments: list[str]) -> None:
    _docker_build("--target", target, "-t", tag, *arguments)


def _docker_build(*words: str) -> None:
    trusted = [os.environ.get("SSL_CERT_FILE", ""), *_PLACES]
    bundle = next((path for path in trusted if path and Path(path).is_file()), None)
    secret = ["--secret", f"id=ca,src={bundle}"] if bundle else []
    docker("build", "--network", "host", *secret, *words, str(ROOT))


def _build_of(recipe: str, tag: str, files: dict[str, Path]) -> None:
    """An image of `files`, by the names that its recipe knows them by."""
    with tempfile.TemporaryDirectory() as work:
        for name, path in files.items():
            shutil.copy2(path, Path(work, name))
        docker("build", "-f", str(IMAGES / f"{recipe}.Dockerfile"), "-t", tag, work)
