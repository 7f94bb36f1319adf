"""Debian images from packages, where no registry can be reached."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from harness.docker import docker, has_image
from harness.process import Failed, run, step

_RELEASE = "bookworm"
_RECIPE = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]  # images are made anew when this file changes
_MINIMAL = f"trainyard-e2e-debian-minimal:{_RELEASE}-{_RECIPE}"
_LEFT_OUT = ("doc", "man", "locale")  # of /usr/share


def image(name: str, packages: str) -> str:
    """The tag of a Debian image with `packages`, made at the first call. Raises Failed."""
    install = f"DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends {packages} > /dev/null"
    steps = ["apt-get update -qq", install, "rm -rf /var/lib/apt/lists/* /var/cache/apt/*"]
    recipe = f"FROM {_MINIMAL}\nRUN {' && '.join(steps)}\n".encode()
    tag = f"{name}:{_RELEASE}-{hashlib.sha256(recipe).hexdigest()[:8]}"
    if not has_image(tag):
        if not has_image(_MINIMAL):
            _make_minimal()
        with step(f"image {tag}"):
            docker("build", "--network", "host", "-t", tag, "-", input=recipe)
    return tag


def _make_minimal() -> None:
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        raise Failed("No registry of images can be reached: making them from packages wants root and debootstrap")
    with step(f"image {_MINIMAL}, by debootstrap"), tempfile.TemporaryDirectory() as work:
        root = Path(work, "root")
        run("debootstrap", "--variant=minbase", _RELEASE, str(root))
        for name in ("var/cache/apt/archives", "var/lib/apt/lists"):
            shutil.rmtree(root / name)
        for name in _LEFT_OUT:
            shutil.rmtree(root / "usr/share" / name)
        excluded = "".join(f"path-exclude=/usr/share/{name}/*\n" for name in _LEFT_OUT)
        (root / "etc/dpkg/dpkg.cfg.d/left-out").write_text(excluded)
        archive = Path(work, "root.tar")
        run("tar", "-C", str(root), "-cf", str(archive), ".")
        docker("import", str(archive), _MINIMAL)
