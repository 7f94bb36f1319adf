"""kind, helm and kubectl: the official release, else built from Go modules; kept in the cache of the tests."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.process import run, step
from support import go
from support.control_plane import build
from support.control_plane.release import fetch, listed, member, write_program
from support.control_plane.versions import CACHE, KUBERNETES

KIND, HELM = "0.30.0", "3.19.0"
_BIN = CACHE / "bin"


def kind() -> str:
    """Path of kind."""
    place = f"https://github.com/kubernetes-sigs/kind/releases/download/v{KIND}"
    name = f"kind-linux-{go.processor()}"

    def released() -> bytes:
        return fetch(f"{place}/{name}", listed(f"{place}/{name}.sha256sum", name))

    return _cached(f"kind-{KIND}", released, lambda path: _install(path, f"sigs.k8s.io/kind@v{KIND}"))


def helm() -> str:
    """Path of helm."""
    name = f"linux-{go.processor()}"

    def released() -> bytes:
        return member(fetch(f"https://get.helm.sh/helm-v{HELM}-{name}.tar.gz"), f"{name}/helm")

    return _cached(f"helm-{HELM}", released, lambda path: _install(path, f"helm.sh/helm/v3/cmd/helm@v{HELM}"))


def kubectl() -> str:
    """Path of kubectl."""
    if (build.FOLDER / "kubectl").exists():
        return str(build.FOLDER / "kubectl")

    def released() -> bytes:
        return fetch(f"https://dl.k8s.io/v{KUBERNETES}/bin/linux/{go.processor()}/kubectl")

    def built(path: Path) -> None:
        path.symlink_to(build.built() / build.PROGRAM)

    return _cached(f"kubectl-{KUBERNETES}/kubectl", released, built)


def _cached(name: str, released: Callable[[], bytes], built: Callable[[Path], None]) -> str:
    path = _BIN / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with step(name), tempfile.TemporaryDirectory(dir=_BIN) as scratch:
            new = Path(scratch, "new")
            try:
                write_program(new, released())
            except (OSError, ValueError):
                built(new)
            new.replace(path)
    return str(path)


def _install(path: Path, package: str) -> None:
    run(go.command(), "install", package, env={**os.environ, "GOBIN": str(path.parent), "CGO_ENABLED": "0"})
    next(each for each in path.parent.iterdir()).rename(path)
