"""Becomes the launcher, in an image that has only Python and torch. Nothing but the standard library is needed here.

It runs with whatever Python the image has: an old one must be able to read it, to be told that it is too old.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).absolute().parent
EXIT_INVALID = 2
BECOME = """
import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
runpy.run_module("trainyard_launcher", run_name="__main__", alter_sys=True)
"""


def main() -> int:
    """Check the image, then run the launcher in this very process."""
    python = f"3.{sys.version_info[1]}"
    there = sorted(int(folder.name[3:]) for folder in HERE.glob("cp3*"))
    if sys.version_info[1] not in there:
        versions = ", ".join(f"3.{minor}" for minor in there)
        what = f"The image has Python {python}, and the launcher runs with {versions}."
        return unsuitable(what, "Take an image with one of these, or leave spec.template.image out.")
    if importlib.util.find_spec("torch") is None:
        what = f"The image has no torch for its Python ({sys.executable})."
        return unsuitable(what, "Install torch in the image, or leave spec.template.image out.")
    problem = set_path()
    if problem:
        what = f"The launcher can't work with a package of the image: {problem}"
        remedy = (
            "Upgrade it in the image (pydantic: version 2), or leave it out of the image: then the launcher's is used."
        )
        return unsuitable(what, remedy)
    own = str(HERE / f"cp3{sys.version_info[1]}")  # first: in this process nothing of the user's runs
    os.execv(sys.executable, [sys.executable, "-P", "-c", BECOME, own])
    return 0


def set_path() -> str:
    """Set PYTHONPATH for the ranks, which use the image's packages where it has them; the error if they can't.

    A typing_extensions that is too old is what many images have; a newer one does all that it did.
    """
    rest = os.environ.get("PYTHONPATH", "")
    problem = ""
    for newer in ([], [str(HERE / "newer")]):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE / "code"), *newer, rest]))
        command = [sys.executable, "-P", "-c", "import trainyard_launcher.rank"]
        done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
        if done.returncode == 0:
            return ""
        lines = done.stderr.split("\n")
        problem = problem or next((line for line in reversed(lines) if line.strip()), f"exit code {done.returncode}")
    return problem


def unsuitable(what: str, remedy: str) -> int:
    """Say why this image won't do, on stderr and in the termination message; the exit code."""
    sys.stderr.write(f"{what}\n  remedy: {remedy}\n")
    fault = {"cause": "ImageUnsuitable", "message": what, "remedy": remedy, "exitCode": EXIT_INVALID}
    message = Path(os.environ.get("TRAINYARD_TERMINATION_LOG", "/dev/termination-log"))
    if message.exists():
        message.write_text(json.dumps({"version": 1, "fault": fault}))
    return EXIT_INVALID


if __name__ == "__main__":
    sys.exit(main())
