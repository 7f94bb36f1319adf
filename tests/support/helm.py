"""Helm, and what the chart renders to.

`python -m support.helm` gets the program, and prints where it is.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from support import go
from support.control_plane import release

VERSION = "v3.19.0"
CHART = Path(__file__).parents[2] / "helm" / "trainyard"
RELEASES = "https://get.helm.sh"


def binary() -> Path:
    """The program: $TRAINYARD_HELM, or the cache's, filled from the official release, else built from Go modules.

    Raises RuntimeError, naming what to install, if it can neither be downloaded nor built.
    """
    if named := os.environ.get("TRAINYARD_HELM"):
        return Path(named)
    cached = go.CACHE / f"helm-{VERSION}"
    if not cached.exists():
        go.CACHE.mkdir(parents=True, exist_ok=True)
        try:
            download(cached)
        except (OSError, ValueError):
            return go.installed("helm.sh/helm/v3/cmd/helm", VERSION)
    return cached


def download(target: Path, releases: str = RELEASES) -> None:
    """Put the official program at `target`. Raises OSError if it can't be had, ValueError if it is damaged."""
    kind = f"linux-{go.processor()}"
    name = f"helm-{VERSION}-{kind}.tar.gz"
    url = f"{releases}/{name}"
    archive = release.fetch(url, release.listed(f"{url}.sha256sum", name))
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        program = Path(folder, "helm")
        release.write_program(program, release.member(archive, f"{kind}/helm"))
        program.replace(target)  # by one rename: other test processes may be at it too


def helm(*words: str) -> subprocess.CompletedProcess[str]:
    """Run it, whatever comes of it."""
    return subprocess.run([str(binary()), *words], capture_output=True, text=True)


def rendered(
    values: dict[str, Any] | None = None, *words: str, release: str = "trainyard", namespace: str = "trainyard"
) -> list[dict[str, Any]]:
    """The objects of a release. Raises AssertionError with Helm's words."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(values or {}, file)
        file.flush()
        done = helm(
            *("template", release, str(CHART), "-n", namespace, "-f", file.name, "--kube-version", "1.34.0"),
            *words,
        )
    if done.returncode:
        raise AssertionError(done.stderr)
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Those of `objects` that are of `kind`."""
    return [each for each in objects if each["kind"] == kind]


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{binary()}\n")
    except RuntimeError as error:
        sys.exit(str(error))
