"""Checks that the programs which tests need are there, and names the command that installs what is missing."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable

GO = (1, 24)


def _go() -> str | None:
    if not shutil.which("go"):
        return f"Go {GO[0]}.{GO[1]} or newer (builds the S3 server of the tests): see https://go.dev/doc/install"
    found = re.search(r"go(\d+)\.(\d+)", subprocess.run(["go", "version"], capture_output=True, text=True).stdout)
    if found and (int(found[1]), int(found[2])) >= GO:
        return None
    return f"Go is {found[0] if found else 'unreadable'}, the S3 server needs {GO[0]}.{GO[1]}: see https://go.dev/doc/install"


def _program(name: str, why: str, package: str) -> Callable[[], str | None]:
    return lambda: None if shutil.which(name) else f"{name} ({why}): sudo apt-get install {package}"


CHECKS: dict[str, Callable[[], str | None]] = {
    "go": _go,
    "chromium": _program("chromium", "opens the report", "chromium"),
    "chromedriver": _program("chromedriver", "drives Chromium", "chromium-driver"),
    "openssl": _program("openssl", "makes certificates for an S3 server by TLS", "openssl"),
    "curl": _program("curl", "asks a served model as the documentation does", "curl"),
}


def main(names: list[str]) -> int:
    """Say what of `names` is missing, one line each; 1 if anything is."""
    missing = [problem for name in names if (problem := CHECKS[name]())]
    for problem in missing:
        sys.stderr.write(f"missing: {problem}\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
