"""The programs of the control plane: whoever has them already, the official release, or built from Go modules.

`python -m support.control_plane.binaries` gets them, and prints where they are.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from support import go
from support.control_plane import build
from support.control_plane.release import fetch, listed, member, write_program
from support.control_plane.versions import CACHE, ETCD, KUBERNETES, NAMES

RELEASES = ("https://dl.k8s.io", "https://github.com/etcd-io/etcd/releases/download")
_FOLDER = CACHE / f"kubernetes-{KUBERNETES}-released"


def folder() -> Path:
    """Where the programs are: $KUBEBUILDER_ASSETS if it has all of them, or a cache, filled at the first call.

    Raises RuntimeError if they can neither be downloaded nor built.
    """
    named = os.environ.get("KUBEBUILDER_ASSETS")
    places = [*([Path(named)] if named else []), _FOLDER, build.FOLDER]
    for place in places:
        if all((place / name).exists() for name in NAMES):
            return place
    try:
        return _released()
    except (OSError, ValueError) as error:
        sys.stderr.write(f"No release of Kubernetes can be had ({error}): building it, which takes some minutes.\n")
        return build.built()


def _released() -> Path:
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        found = Path(scratch, "found")
        found.mkdir()
        download(found)
        shutil.rmtree(_FOLDER, ignore_errors=True)
        found.rename(_FOLDER)
    return _FOLDER


def download(found: Path, releases: tuple[str, str] = RELEASES) -> None:
    """Put the official programs into `found`. Raises OSError if they can't be had, ValueError if one is damaged."""
    processor = go.processor()
    for name in NAMES[1:]:
        write_program(found / name, fetch(f"{releases[0]}/v{KUBERNETES}/bin/linux/{processor}/{name}"))
    name = f"etcd-v{ETCD}-linux-{processor}"
    place = f"{releases[1]}/v{ETCD}"
    archive = fetch(f"{place}/{name}.tar.gz", listed(f"{place}/SHA256SUMS", f"{name}.tar.gz"))
    write_program(found / "etcd", member(archive, f"{name}/etcd"))


if __name__ == "__main__":
    print(folder())  # noqa: T201
