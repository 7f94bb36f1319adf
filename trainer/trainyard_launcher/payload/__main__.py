"""`python -m trainyard_launcher.payload FOLDER`: copy launcher and SDK to a folder of a pod."""

import os
import shutil
import sys
from pathlib import Path

import trainyard_api
import trainyard_launcher
import trainyard_storage

SOURCE = Path(os.environ.get("TRAINYARD_PAYLOAD", "/opt/trainyard/payload"))
_HERE = Path(__file__).parent


def copy_payload(source: Path, target: Path) -> None:
    """Copy our packages, and what `source` has for each version of Python, to `target`.

    What versions have in common is one file with several names in `source`, and in `target` again.
    """
    code = target / "code"
    launcher = Path(trainyard_launcher.__file__).parent
    packages = [Path(trainyard_api.__file__).parent, Path(trainyard_storage.__file__).parent, launcher]
    for package in (*packages, launcher.parent / "trainyard_trainer"):  # which isn't imported: it would want torch
        shutil.copytree(package, code / package.name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    seen: dict[int, str] = {}

    def copy(original: str, new: str) -> str:
        inode = Path(original).stat().st_ino
        if inode in seen:
            Path(new).unlink(missing_ok=True)
            os.link(seen[inode], new)
        else:
            shutil.copyfile(original, new)
            seen[inode] = new
        return new

    for folder in sorted(source.glob("cp3*")):
        shutil.copytree(folder, target / folder.name, copy_function=copy, dirs_exist_ok=True)
    shutil.copyfile(_HERE / "site" / "sitecustomize.py", code / "sitecustomize.py")
    shutil.copyfile(_HERE / "launch.py", target / "launch.py")  # last: what is there, is there as a whole


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m trainyard_launcher.payload FOLDER")
    copy_payload(SOURCE, Path(sys.argv[1]))
