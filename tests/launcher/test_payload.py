"""Launcher and SDK in somebody else's image: a Python of its own, with torch and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.nodes import PROGRAM, STEPS, begins, nodes_of, script
from support.payload import age_typing_extensions, other_pythons, prepared, python_with_torch, version_of


@pytest.fixture(scope="module")
def payload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the init container leaves: for this Python, and for others of the supported ones that are here."""
    target = tmp_path_factory.mktemp("payload")
    source = prepared([Path(sys.executable), *other_pythons()])
    command = [sys.executable, "-m", "trainyard_launcher.payload", str(target)]
    subprocess.run(command, env={**os.environ, "TRAINYARD_PAYLOAD": str(source)}, check=True)
    return target


def started(python: Path, payload: Path, folder: Path) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
    """`python launch.py` where there is no job; and the fault in its termination message."""
    message = folder / "termination"
    message.touch()
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TRAINYARD_TERMINATION_LOG": str(message)}
    done = subprocess.run([python, payload / "launch.py"], env=environment, capture_output=True, text=True)
    return done, json.loads(message.read_text() or "{}").get("fault", {})


@pytest.mark.parametrize("older", [False, True])
def test_a_program_with_the_sdk_runs_where_only_torch_is(older: bool, payload: Path, tmp_path: Path) -> None:
    python = python_with_torch(tmp_path / "image")
    if older:
        age_typing_extensions(tmp_path / "image")
    lacking = subprocess.run([python, "-c", "import pydantic"], capture_output=True, text=True)
    assert "No module named 'pydantic'" in lacking.stderr
    program = PROGRAM.replace("time.sleep(0.02)", "")
    with nodes_of(tmp_path, 1, script=script(tmp_path, program), checkpoint={"everySteps": 100}) as nodes:
        node = nodes.start(0, command=[str(python), str(payload / "launch.py")])
        assert node.ended() == 0
        assert begins(node) == [(0, 1)]
        checkpoint = node.termination().checkpoint
        assert checkpoint is not None
        assert checkpoint.step == STEPS


def test_an_image_without_torch_is_told_so(payload: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "image"], check=True)
    done, fault = started(tmp_path / "image" / "bin" / "python", payload, tmp_path)
    assert done.returncode == 2
    assert "The image has no torch" in done.stderr
    assert fault["cause"] == "ImageUnsuitable"
    assert "no torch" in fault["message"]


def test_an_image_whose_packages_do_not_fit_is_told_which(payload: Path, tmp_path: Path) -> None:
    python = python_with_torch(tmp_path / "image")
    (installed,) = (tmp_path / "image").glob("lib/python3*/site-packages")
    (installed / "pydantic.py").write_text("VERSION = '1.10'")
    done, fault = started(python, payload, tmp_path)
    assert done.returncode == 2
    assert fault["cause"] == "ImageUnsuitable"
    assert "from 'pydantic'" in fault["message"]
    assert str(installed / "pydantic.py") in fault["message"]
    assert "leave it out" in fault["remedy"]


def test_a_python_that_is_not_supported_is_told_so(tmp_path: Path, payload: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "cp399").mkdir()
    (tmp_path / "other" / "launch.py").write_bytes((payload / "launch.py").read_bytes())
    done, fault = started(Path(sys.executable), tmp_path / "other", tmp_path)
    assert done.returncode == 2
    assert "the launcher runs with 3.99" in fault["message"]


def test_every_python_finds_what_is_for_it(payload: Path) -> None:
    """And what the image has comes first, as does a sitecustomize.py of its own."""
    modules = "trainyard_launcher.launch, pydantic_core, obstore, xxhash, yaml, polars, numpy, PIL.Image"
    for python in (Path(sys.executable), *other_pythons()):
        code = f"import {modules}; print(numpy.__file__)"
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(payload / "code"), "PYTHONNOUSERSITE": "1"}
        done = subprocess.run([python, "-c", code], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        own = python == Path(sys.executable)
        assert (f"cp{version_of(python).replace('.', '')}" in done.stdout) != own


def test_what_versions_share_is_there_once(payload: Path) -> None:
    shared = [path.stat().st_ino for path in payload.glob("cp3*/obstore/_obstore.abi3.so")]
    assert len(set(shared)) == 1
