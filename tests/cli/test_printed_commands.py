"""Commands that are printed can be pasted, whatever the names in them are."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from support.commands import TRAINYARD, trainyard
from support.launched import end_of, wait_until, with_no_fuss

PROGRAM = """
import sys, time
from pathlib import Path
print("[/x] :smile: [old]", sys.argv[1:], flush=True)
Path("begun").touch()
while not Path("end").exists():
    time.sleep(0.01)
"""


def test_what_goes_on_with_a_run_can_be_pasted(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(PROGRAM)
    manifest = {
        "apiVersion": "trainyard.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "job"},
        "spec": {"script": {"command": ["train.py"]}},
    }
    (tmp_path / "my [old] job.yaml").write_text(yaml.safe_dump(manifest))
    command = ["run", "my [old] job.yaml", "--set", "spec.script.command=[train.py, it's, '[/b]']", "--storage", "[a]"]
    environ = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": f"{Path(sys.executable).parent}:/bin"}
    process = subprocess.Popen(
        [TRAINYARD, *command], cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_until(lambda: (tmp_path / "begun").exists(), "the program has begun")
        process.send_signal(signal.SIGTERM)
        stopped = end_of(process)
    finally:
        with_no_fuss(process.pid)
    assert stopped.code == 143, stopped.err
    assert """[/x] :smile: [old] ["it's", '[/b]']""" in stopped.out
    printed = stopped.out.splitlines()[-1].partition("Go on with: ")[2]
    assert shlex.split(printed) == ["trainyard", *command]
    (tmp_path / "end").touch()
    pasted = subprocess.run(["bash", "-c", printed], cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert pasted.returncode == 0, pasted.stderr
    assert len(list((tmp_path / "[a]" / "default" / "job").iterdir())) == 1, "the same run"


@pytest.mark.parametrize("name", ["my data", "it's"])
def test_what_init_says_can_be_pasted(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "data.csv").write_text("a,b\n" + "1,x\n2,y\n" * 10)
    done = trainyard("init", f"{name}/data.csv", "--target", "b", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    printed = shlex.split(done.stdout.partition("then: ")[2])
    assert printed == ["trainyard", "run", f"{name}/job.yaml"]
