"""Helm, and what the chart renders to.

`python -m support.helm` gets the program, and prints where it is.
"""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from support import go

VERSION = "v3.19.0"
CHART = Path(__file__).parents[2] / "helm" / "trainyard"
RELEASES = "https://get.helm.sh"
_REACH_SECONDS = 10


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
    url = f"{releases}/helm-{VERSION}-{kind}.tar.gz"
    archive, expected = _read(url), _read(f"{url}.sha256sum").decode().split()[0]
    if hashlib.sha256(archive).hexdigest() != expected:
        raise ValueError(f"{url} is damaged: its SHA-256 isn't {expected}")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar, tempfile.TemporaryDirectory(dir=target.parent) as folder:
        member = tar.extractfile(f"{kind}/helm")
        assert member is not None
        program = Path(folder, "helm")
        program.write_bytes(member.read())
        program.chmod(0o755)
        program.replace(target)


def _read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=_REACH_SECONDS) as answer:
        return bytes(answer.read())


def helm(*words: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run it, whatever comes of it."""
    return subprocess.run(
        [str(binary()), *words], env={**os.environ, **(environment or {})}, capture_output=True, text=True
    )


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
