"""Go, to build programs that the tests need: the machine's own, or a newer one that it fetches as a module."""

import os
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

INSTALL = "sudo apt-get install golang-go"
_NEEDED = (1, 24)
_TOOLCHAIN = "golang.org/toolchain@v0.0.1-go1.24.13.linux-"
CACHE = Path.home() / ".cache" / "trainyard" / "bin"
_PROCESSORS = {"x86_64": "amd64", "aarch64": "arm64"}


def command() -> str:
    """Path of a `go` that is new enough. Raises RuntimeError, naming what to install, if there is none."""
    found = shutil.which("go")
    if found is None:
        raise RuntimeError(f"Go (builds programs that the tests need): {INSTALL}")
    return found if _version(found) >= _NEEDED else _newer(found)


def installed(package: str, version: str) -> Path:
    """The program of `package` at `version`, from the cache, built first if need be.

    Raises RuntimeError, naming what to install, if it can't be built.
    """
    name = next(part for part in reversed(package.split("/")) if not re.fullmatch(r"v\d+", part))
    cached = CACHE / f"{name}-{version}"
    if cached.exists():
        return cached
    builder = command()
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        build = subprocess.run(
            [builder, "install", f"{package}@{version}"],
            env={**os.environ, "GOBIN": folder, "CGO_ENABLED": "0"},
            capture_output=True,
            text=True,
        )
        if build.returncode:
            raise RuntimeError(f"Go could not build {package}@{version}:\n{build.stderr}")
        (Path(folder) / name).replace(cached)  # by one rename: other test processes may be building it too
    return cached


def processor() -> str:
    """This machine's kind, as Go and Kubernetes name it: amd64, arm64."""
    name = platform.machine()
    return _PROCESSORS.get(name, name)


def _version(go: str) -> tuple[int, int]:
    found = re.search(r"go(\d+)\.(\d+)", _output(go, "version"))
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _newer(go: str) -> str:
    """Path of the `go` in Go's own toolchain module, whose checksum Go checks. Even Debian 12's 1.19 can fetch it."""
    try:
        _output(go, "mod", "download", module := _TOOLCHAIN + processor())
    except RuntimeError as error:
        raise RuntimeError(
            f"This Go is older than {_NEEDED[0]}.{_NEEDED[1]} and can't fetch a newer one: {error}"
        ) from error
    folder = Path(_output(go, "env", "GOMODCACHE").strip()) / module
    for program in [*folder.glob("bin/*"), *folder.glob("pkg/tool/*/*")]:
        program.chmod(0o755)  # a module's files aren't executable
    return str(folder / "bin" / "go")


def _output(*words: str) -> str:
    done = subprocess.run(words, cwd="/", capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
