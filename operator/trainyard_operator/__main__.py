"""`python -m trainyard_operator`: run one replica of the operator."""

import asyncio
import sys

from trainyard_api.errors import TrainyardError
from trainyard_operator import logs, settings
from trainyard_operator.replica import run

_NESTING = 20_000  # the API server takes in a manifest of 10,000 levels, and a list with it has to be read


def main() -> int:
    """Run until a signal comes; the exit code is 1 if the operator couldn't go on."""
    sys.setrecursionlimit(_NESTING)
    try:
        chosen = settings.read()
        logs.set_up(chosen.log_level)
        return asyncio.run(run(chosen))
    except TrainyardError as error:
        sys.stderr.write(f"{error}\n")
        return error.code


if __name__ == "__main__":
    sys.exit(main())
