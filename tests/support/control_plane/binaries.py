"""The programs of the control plane: whoever has them already, the official release, or built from Go modules.

`python -m support.control_plane.binaries` gets them, and prints where they are.
"""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from support import go

KUBERNETES, ETCD = "1.34.2", "3.6.5"
NAMES = ("etcd", "kube-apiserver")
CACHE = Path.home() / ".cache" / "trainyard" / f"kubernetes-{KUBERNETES}-etcd-{ETCD}"
RELEASES = ("https://dl.k8s.io", "https://github.com/etcd-io/etcd/releases/download")
_SECONDS = 10  # to reach a release at all
# k8s.io/kubernetes asks for v0.0.0 of these, which live in its own repository: each is pinned to the release.
_STAGING = (
    "api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider cluster-bootstrap "
    "code-generator component-base component-helpers controller-manager cri-api cri-client csi-translation-lib "
    "dynamic-resource-allocation endpointslice externaljwt kms kube-aggregator kube-controller-manager kube-proxy "
    "kube-scheduler kubectl kubelet metrics mount-utils pod-security-admission sample-apiserver sample-cli-plugin "
    "sample-controller"
)


def folder() -> Path:
    """Where the programs are: $KUBEBUILDER_ASSETS, or a cache, filled at the first call.

    Raises RuntimeError, with both reasons, if they can neither be downloaded nor built.
    """
    if named := os.environ.get("KUBEBUILDER_ASSETS"):
        return Path(named)
    if not all((CACHE / name).exists() for name in NAMES):
        CACHE.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE.parent) as scratch:
            found = Path(scratch, "found")
            found.mkdir()
            _get(found, Path(scratch))
            shutil.rmtree(CACHE, ignore_errors=True)
            found.rename(CACHE)
    return CACHE


def _get(found: Path, scratch: Path) -> None:
    try:
        download(found)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"No release of Kubernetes can be had ({error}): building it, which takes some minutes.\n")
        _build(found, scratch)


def download(found: Path, releases: tuple[str, str] = RELEASES) -> None:
    """Put the official programs into `found`. Raises OSError if they can't be had, ValueError if one is damaged."""
    processor = go.processor()
    server = f"{releases[0]}/v{KUBERNETES}/bin/linux/{processor}/kube-apiserver"
    _write(found / "kube-apiserver", _checked(_read(server), _read(f"{server}.sha256").decode().split()[0], server))
    name = f"etcd-v{ETCD}-linux-{processor}"
    archive = f"{releases[1]}/v{ETCD}/{name}.tar.gz"
    sums = [line.split() for line in _read(f"{releases[1]}/v{ETCD}/SHA256SUMS").decode().splitlines()]
    expected = next((words[0] for words in sums if words[-1] == f"{name}.tar.gz"), "absent")
    with tarfile.open(fileobj=io.BytesIO(_checked(_read(archive), expected, archive))) as tar:
        member = tar.extractfile(f"{name}/etcd")
        assert member is not None
        _write(found / "etcd", member.read())


def _read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=_SECONDS) as answer:
        return bytes(answer.read())


def _checked(data: bytes, sha256: str, url: str) -> bytes:
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError(f"{url} is damaged: its SHA-256 isn't {sha256}")
    return data


def _write(path: Path, program: bytes) -> None:
    path.write_bytes(program)
    path.chmod(0o755)


def _build(found: Path, scratch: Path) -> None:
    """One static program from Go modules, under both names."""
    staging = f"v0.{KUBERNETES.partition('.')[2]}"
    require = f"require (\nk8s.io/kubernetes v{KUBERNETES}\ngo.etcd.io/etcd/server/v3 v{ETCD}\n)\n"
    replace = "\n".join(f"k8s.io/{name} => k8s.io/{name} {staging}" for name in _STAGING.split())
    (scratch / "go.mod").write_text(f"module control-plane\n\ngo 1.24\n\n{require}\nreplace (\n{replace}\n)\n")
    shutil.copy(Path(__file__).with_name("main.go"), scratch)
    version, minor = "k8s.io/component-base/version", KUBERNETES.split(".")[1]
    flags = f"-s -w -X {version}.gitVersion=v{KUBERNETES} -X {version}.gitMajor=1 -X {version}.gitMinor={minor}"
    program = go.command()
    for words in (["mod", "tidy"], ["build", "-trimpath", "-ldflags", flags, "-o", str(found / NAMES[0]), "."]):
        done = subprocess.run(
            [program, *words], cwd=scratch, env={**os.environ, "CGO_ENABLED": "0"}, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"Kubernetes can't be built: go {words[0]}: {done.stderr[-2000:]}")
    (found / NAMES[1]).symlink_to(NAMES[0])


if __name__ == "__main__":
    print(folder())  # noqa: T201
