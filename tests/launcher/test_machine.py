"""What the report says of the machine, with a stand-in for nvidia-smi, as most machines have no GPU."""

import os
import platform
from pathlib import Path

import pytest
import torch

from trainyard_launcher.machine import this_machine


def test_what_this_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    machine = this_machine()
    assert machine.processor
    assert machine.cores == 3
    assert 1e8 < machine.memory_bytes < 1e14
    assert (machine.python, machine.torch) == (platform.python_version(), torch.__version__.partition("+")[0])
    assert machine.trainyard.startswith("0.")


@pytest.mark.parametrize(("visible", "names"), [(None, ["H100", "L4"]), ("1", ["L4"]), ("", [])])
def test_gpus_that_may_be_used(
    visible: str | None, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(
        '#!/bin/sh\ncase "$*" in\n-L) echo "GPU 0: NVIDIA H100"; echo "GPU 1: NVIDIA L4";;\n'
        '*--id=1*) echo "NVIDIA L4, 23034";;\n*) echo "NVIDIA H100, 81559"; echo "NVIDIA L4, 23034";;\nesac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    sizes = {"H100": 81559 * 2**20, "L4": 23034 * 2**20}
    found = [(gpu.name, gpu.memory_bytes) for gpu in this_machine().gpus]
    assert found == [(f"NVIDIA {name}", sizes[name]) for name in names]
