"""`packages.py REQUIREMENTS FOLDER 3.11 ...`: put what launcher and SDK need into FOLDER/cp311, and so on.

The image is made with it, by nothing but the standard library and uv. A file that several folders have is there once,
under several names: versions of Python share all packages without compiled code, and most libraries of the others.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def install(requirements: Path, folder: Path, versions: list[str]) -> None:
    """Install `requirements`, whose hashes uv checks, for each version of Python that `folder` has no packages for.

    Raises CalledProcessError if a package can't be had.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for version in versions:
        target = folder / f"cp{version.replace('.', '')}"
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=folder, prefix=".") as scratch:
                packages = Path(scratch, "packages")
                command = ["uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
                command += ["--python-version", version, "--target", str(packages), "-r", str(requirements)]
                subprocess.run(command, check=True)
                _slim(packages)
                packages.rename(target)  # last: what is there, is there as a whole
    _share(folder)


def _slim(packages: Path) -> None:
    """Drop what nothing imports: packages' own tests, and commands."""
    for path in [packages / "bin", *packages.rglob("tests")]:
        if path.is_dir():
            shutil.rmtree(path)


def _share(folder: Path) -> None:
    """Make files of the same content one file."""
    first: dict[tuple[str, bool], Path] = {}
    for path in sorted(folder.glob("cp3*/**/*")):
        if path.is_symlink() or not path.is_file():
            continue
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        known = first.setdefault((content, os.access(path, os.X_OK)), path)
        if not known.samefile(path):
            path.unlink()
            os.link(known, path)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit("usage: packages.py REQUIREMENTS FOLDER 3.11 ...")
    install(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
