"""What a tree of processes leaves behind when it ends: nothing, not even zombies."""

import subprocess
import sys

import pytest

# A process that orphans fall to, as they do to process 1 of a pod. It prints its zombies once the keeper has ended.
_FIRST = """
import pathlib, subprocess, sys
from trainyard_launcher.processes import adopt_orphans
adopt_orphans()
keeper = subprocess.Popen([sys.executable, "-m", "trainyard_launcher.keeper", "sh", "-c", sys.argv[1]],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)
keeper.stdout.readline()
if sys.argv[2] == "left":
    keeper.stdin.close()
code = keeper.wait()
states = [path.read_text().rpartition(")")[2].split()[:2] for path in pathlib.Path("/proc").glob("[0-9]*/stat")]
print(code, sum(state == "Z" and parent == str(pathlib.Path("/proc/self").readlink()) for state, parent in states))
"""


@pytest.mark.parametrize(
    ("command", "how", "code"),
    [("sleep 1000 & sleep 1000 & echo started", "ended", 0), ("sleep 1000 & echo started; sleep 1000", "left", 137)],
)
def test_no_zombie_is_left(command: str, how: str, code: int) -> None:
    done = subprocess.run([sys.executable, "-c", _FIRST, command, how], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(code), "0"]
