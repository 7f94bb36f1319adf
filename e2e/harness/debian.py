"""Debian images from packages, where no registry can be reached."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from harness.docker import docker, has_image
from harness.process import Failed, run, step

_RELEASE = "bookworm"
_MINIMAL = f"trainyard-e2e-debian-minimal:{_RELEASE}"
_LEFT_OUT = ("doc", "man", "locale")  # of /usr/share


def image(name: str, packages: str) -> str:
    """The tag of a Debian image with `packages`, made at the first call. Raises Failed."""
    tag = f"{name}:{_RELEASE}-{hashlib.sha256(packages.encode()).hexdigest()[:8]}"
    if not has_image(tag):
        if not has_image(_MINIMAL):
            _make_minimal()
        install = f"apt-get install -y -qq --no-install-recommends {packages} > /dev/null"
        steps = ["apt-get update -qq", f"DEBIAN_FRONTEND=noninteractive {install}", "apt-get clean"]
        steps.append("rm -rf /var/lib/apt/lists/* /var/log/*.log /var/log/apt")
        with step(f"image {tag}"):
            recipe = f"FROM {_MINIMAL}\nRUN {' && '.join(steps)}\n"
            docker("build", "--network", "host", "-t", tag, "-", input=recipe.encode())
    return tag


def _make_minimal() -> None:
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        raise Failed("No registry of images can be reached: making them from packages wants root and debootstrap")
    with step(f"image {_MINIMAL}, by debootstrap"), tempfile.TemporaryDirectory() as work:
        root = Path(work, "root")
        run("debootstrap", "--variant=minbase", _RELEASE, str(root))
        shutil.rmtree(root / "var/cache/apt/archives")
        for name in _LEFT_OUT:
            shutil.rmtree(root / "usr/share" / name)
        excluded = "".join(f"path-exclude=/usr/share/{name}/*\n" for name in _LEFT_OUT)
        (root / "etc/dpkg/dpkg.cfg.d/left-out").write_text(excluded)
        archive = Path(work, "root.tar")
        run("tar", "-C", str(root), "-cf", str(archive), ".")
        docker("import", str(archive), _MINIMAL)
