"""`trainyard validate`: every problem of every file at once."""

import argparse
import sys
from pathlib import Path

from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_api.manifest import load_job


def main(args: argparse.Namespace) -> int:
    """Check `args.files`. Exit code 2 if anything is wrong with one of them."""
    code = ExitCode.OK
    for file in args.files:
        try:
            load_job(Path(file))
        except TrainyardError as error:
            sys.stderr.write(f"{error}\n")
            code = ExitCode.INVALID
        else:
            sys.stdout.write(f"{file}: valid\n")
    return code
