"""Debian images, made by debootstrap where no registry can be reached."""

import os
import shutil
import tempfile
from pathlib import Path

from harness.docker import docker, has_image
from harness.process import Failed, run, step

_RELEASE = "bookworm"
_LEFT_OUT = ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale")


def image(name: str, packages: str) -> str:
    """The tag of a Debian image with `packages` (by commas), made at the first call. Raises Failed."""
    tag = f"{name}:{_RELEASE}"
    if has_image(tag):
        return tag
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        raise Failed("no image registry can be reached, and root with debootstrap is needed to make images without one")
    with step(f"image {tag}, by debootstrap"), tempfile.TemporaryDirectory() as work:
        root = Path(work, "root")
        run("debootstrap", "--variant=minbase", f"--include={packages}", _RELEASE, str(root))
        for folder in _LEFT_OUT:
            shutil.rmtree(root / folder)
            (root / folder).mkdir()
        archive = Path(work, "root.tar")
        run("tar", "-C", str(root), "-cf", str(archive), ".")
        docker("import", str(archive), tag)
    return tag
