"""`python -m harness up` makes all that the end-to-end tests need; `python -m harness down` removes the cluster."""

import sys

from harness import cluster
from harness.docker import ensure_daemon, stop_daemon
from harness.process import Failed, step
from harness.setup import up


def main(words: list[str]) -> int:
    """0, or 1 with what is wrong on the standard error."""
    try:
        if words == ["up"]:
            up()
        elif words == ["down"]:
            ensure_daemon()
            with step("cluster removed"):
                cluster.delete()
            stop_daemon()
        else:
            raise Failed("say up or down")
    except (Failed, RuntimeError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
