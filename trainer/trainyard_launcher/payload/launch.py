"""Becomes the launcher, in an image that has only Python and torch. Nothing but the standard library is needed here.

It runs with whatever Python the image has: an old one must be able to read it, to be told that it is too old.
"""

import importlib.util
import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).absolute().parent
EXIT_INVALID = 2


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
    paths = [str(HERE / "code"), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    os.execv(sys.executable, [sys.executable, "-P", "-m", "trainyard_launcher"])
    return 0


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
