"""Helm from an official release, which here is a folder behind a local web server."""

import hashlib
import io
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from support import go
from support.helm import VERSION, download

KIND = f"linux-{go.processor()}"


@pytest.fixture
def release(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """The archive, and the address under which releases are found."""
    root = tmp_path / "release"
    root.mkdir()
    archive = root / f"helm-{VERSION}-{KIND}.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        info = tarfile.TarInfo(f"{KIND}/helm")
        info.size = len(b"the program")
        tar.addfile(info, io.BytesIO(b"the program"))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    (root / f"{archive.name}.sha256sum").write_text(f"{digest}  {archive.name}\n")
    handler = partial(SimpleHTTPRequestHandler, directory=str(root))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        Thread(target=web.serve_forever, daemon=True).start()
        yield archive, f"http://127.0.0.1:{web.server_port}"
        web.shutdown()


def test_a_release_is_taken(tmp_path: Path, release: tuple[Path, str]) -> None:
    download(tmp_path / "helm", release[1])
    assert (tmp_path / "helm").read_bytes() == b"the program"
    assert (tmp_path / "helm").stat().st_mode & 0o111


def test_a_damaged_release_is_refused(tmp_path: Path, release: tuple[Path, str]) -> None:
    release[0].write_bytes(release[0].read_bytes() + b"x")
    with pytest.raises(ValueError, match="is damaged"):
        download(tmp_path / "helm", release[1])
    assert not (tmp_path / "helm").exists()


def test_one_that_is_not_there_is_told(tmp_path: Path, release: tuple[Path, str]) -> None:
    release[0].unlink()
    with pytest.raises(OSError, match="404"):
        download(tmp_path / "helm", release[1])
