"""How soon `trainyard --help` and `trainyard validate` answer, against what no command in Python can save.

That is Python with argparse, and for `validate` Python with a YAML reader and pydantic. All four alternate, each a
process of its own; medians.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

TRAINYARD = str(Path(sys.executable).with_name("trainyard"))
MANIFEST = str(Path(__file__).parents[1] / "examples/digits/job.yaml")
COMMANDS = {
    "--help": ([TRAINYARD, "--help"], "import argparse"),
    "validate": ([TRAINYARD, "validate", MANIFEST], "import yaml; from pydantic import BaseModel"),
}


def seconds(command: list[str]) -> float:
    """From the start of a process to its end."""
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    """Print the time of each command and the ratio to its floor."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    for name, (command, floor) in COMMANDS.items():
        pairs = [(seconds(command), seconds([sys.executable, "-c", floor])) for _ in range(rounds + 1)][1:]
        print(f"trainyard {name}: {statistics.median(ours for ours, _ in pairs):.3f} s (target < 0.5)")
        print(f"ratio {name} against bare Python: {statistics.median(ours / bare for ours, bare in pairs):.2f}")


if __name__ == "__main__":
    main()
