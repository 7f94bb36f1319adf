"""What tests of the payload need: its dependencies for some versions of Python, and Pythons that lack them."""

import hashlib
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

from trainyard_launcher.payload import packages

REQUIREMENTS = Path(__file__).parents[2] / "requirements" / "payload.txt"
_CACHE = Path.home() / ".cache" / "trainyard"
_VERSIONS = ("3.11", "3.12", "3.13", "3.14")


def prepared(pythons: list[Path]) -> Path:
    """A folder with what the payload needs for each of `pythons`, as the image has it; kept in the cache."""
    made_from = REQUIREMENTS.read_bytes() + Path(packages.__file__).read_bytes()
    root = _CACHE / f"payload-{hashlib.sha256(made_from).hexdigest()[:12]}"
    packages.install(REQUIREMENTS, root, [version_of(python) for python in pythons])
    return root


def version_of(python: Path) -> str:
    """3.12, say; empty if it doesn't run."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    asked = subprocess.run([python, "-c", code], capture_output=True, text=True)
    return asked.stdout.strip() if asked.returncode == 0 else ""


def other_pythons() -> list[Path]:
    """Supported Pythons on this machine of other versions than the one that runs the tests."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = [Path(path) for path in map(shutil.which, (f"python{version}" for version in _VERSIONS)) if path]
    return [python for python in found if version_of(python) not in ("", own)]


def python_with_torch(folder: Path) -> Path:
    """A virtual environment that has torch and what torch needs (links to ours), and no other package."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (installed,) = folder.glob("lib/python3*/site-packages")
    names: set[str] = set()
    wanted = ["torch"]
    while wanted:
        name = wanted.pop()
        if name in names:
            continue
        names.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:  # of an extra, or of another platform
            continue
        for place in {file.parts[0] for file in found.files or []} - {"..", "__pycache__", "numpy"}:
            link = installed / place
            if not link.is_symlink():
                link.symlink_to(Path(str(found.locate_file(place))))
        needs = map(Requirement, found.requires or [])
        wanted += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return folder / "bin" / "python"


def age_typing_extensions(folder: Path) -> None:
    """Give the environment in `folder` a typing_extensions that is older than 4.14, which pydantic needs."""
    (module,) = folder.glob("lib/python3*/site-packages/typing_extensions.py")
    text = module.read_text()
    module.unlink()  # it's a link to ours
    module.write_text(f"{text}\ndel Sentinel\n__all__.remove('Sentinel')\n")
