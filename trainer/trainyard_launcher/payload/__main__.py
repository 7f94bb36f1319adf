"""`python -m trainyard_launcher.payload FOLDER`: copy launcher and SDK to a folder of a pod."""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

SOURCE = Path(os.environ.get("TRAINYARD_PAYLOAD", "/opt/trainyard/payload"))
_HERE = Path(__file__).parent
_OURS = ("trainyard_api", "trainyard_storage", "trainyard_launcher", "trainyard_trainer")


def copy_payload(source: Path, target: Path) -> None:
    """Copy our packages, and what `source` has for each version of Python, to `target`.

    What versions have in common is one file with several names in `source`, and in `target` again.
    """
    code = target / "code"
    for name in _OURS:
        spec = find_spec(name)  # not imported: what they need isn't installed in the image that brings them
        assert spec is not None
        assert spec.origin is not None
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(Path(spec.origin).parent, code / name, ignore=ignored, dirs_exist_ok=True)
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
    (target / "newer").mkdir(exist_ok=True)
    for module in source.glob("cp3*/typing_extensions.py"):  # the same for every version of Python
        shutil.copyfile(module, target / "newer" / module.name)
    shutil.copyfile(_HERE / "site" / "sitecustomize.py", code / "sitecustomize.py")
    shutil.copyfile(_HERE / "launch.py", target / "launch.py")  # last: what is there, is there as a whole


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m trainyard_launcher.payload FOLDER")
    copy_payload(SOURCE, Path(sys.argv[1]))
