"""Checks that the programs which tests need are there, and names the command that installs what is missing."""

import shutil
import sys
from collections.abc import Callable

from support import go
from support.browser import BROWSERS, DRIVERS, INSTALL


def _go() -> str | None:
    try:
        go.command()
    except RuntimeError as error:
        return str(error)
    return None


def _program(names: tuple[str, ...], why: str, install: str) -> Callable[[], str | None]:
    return lambda: None if any(map(shutil.which, names)) else f"{names[0]} ({why}): {install}"


CHECKS: dict[str, Callable[[], str | None]] = {
    "go": _go,
    "chromium": _program(BROWSERS, "opens the report", INSTALL),
    "chromedriver": _program(DRIVERS, "drives Chromium", INSTALL),
    "openssl": _program(("openssl",), "makes the tests' certificates and keys", "sudo apt-get install openssl"),
    "jq": _program(("jq",), "backs up a cluster's jobs as the documentation does", "sudo apt-get install jq"),
    "curl": _program(("curl",), "asks a served model as the documentation does", "sudo apt-get install curl"),
}


def main(names: list[str]) -> int:
    """Say what of `names` is missing, one line each; 1 if anything is."""
    missing = [problem for name in names if (problem := CHECKS[name]())]
    for problem in missing:
        sys.stderr.write(f"missing: {problem}\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
