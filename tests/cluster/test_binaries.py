"""The control plane's programs from an official release, which here is a folder behind a local web server."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from support import go
from support.control_plane import binaries
from support.control_plane.versions import ETCD, KUBERNETES, NAMES

ARCHIVE = f"etcd-v{ETCD}-linux-{go.processor()}"


@pytest.fixture
def release(tmp_path: Path) -> Iterator[tuple[Path, tuple[str, str]]]:
    """The folder, and the two addresses under which releases are found."""
    root = tmp_path / "release"
    programs = root / f"v{KUBERNETES}" / "bin" / "linux" / go.processor()
    programs.mkdir(parents=True)
    for name in NAMES[1:]:
        (programs / name).write_bytes(name.encode())
        (programs / f"{name}.sha256").write_text(hashlib.sha256(name.encode()).hexdigest())
    archive = root / f"v{ETCD}" / f"{ARCHIVE}.tar.gz"
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:gz") as tar:
        info = tarfile.TarInfo(f"{ARCHIVE}/etcd")
        info.size = len(b"the store")
        tar.addfile(info, io.BytesIO(b"the store"))
    sums = f"{'0' * 64}  other.tar.gz\n{hashlib.sha256(archive.read_bytes()).hexdigest()}  {ARCHIVE}.tar.gz\n"
    (archive.parent / "SHA256SUMS").write_text(sums)
    handler = partial(SimpleHTTPRequestHandler, directory=str(root))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{web.server_port}"
        yield root, (address, address)
        web.shutdown()


def test_a_release_is_taken_whole(tmp_path: Path, release: tuple[Path, tuple[str, str]]) -> None:
    binaries.download(tmp_path, release[1])
    found = {name: tmp_path / name for name in NAMES}
    expected = {name: name.encode() for name in NAMES} | {"etcd": b"the store"}
    assert {name: path.read_bytes() for name, path in found.items()} == expected
    assert all(path.stat().st_mode & 0o111 for path in found.values())


@pytest.mark.parametrize("name", ["kube-apiserver", f"{ARCHIVE}.tar.gz"])
def test_a_damaged_release_is_refused(tmp_path: Path, release: tuple[Path, tuple[str, str]], name: str) -> None:
    (path,) = release[0].rglob(name)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ValueError, match="is damaged"):
        binaries.download(tmp_path, release[1])


def test_no_release(tmp_path: Path, release: tuple[Path, tuple[str, str]]) -> None:
    with pytest.raises(OSError, match="404"):
        binaries.download(tmp_path, (f"{release[1][0]}/nowhere", release[1][1]))
