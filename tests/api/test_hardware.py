"""GPUs counted without torch: by a stand-in for nvidia-smi, as most machines have none."""

import os
from pathlib import Path

import pytest

from trainyard_api.hardware import count_gpus, room_for_processes


@pytest.fixture
def four_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    lines = "".join(
        f"GPU {n}: NVIDIA H200 (UUID: GPU-{n})\n  MIG 1g.18gb     Device  0: (UUID: MIG-{n})\n" for n in range(4)
    )
    program.write_text(f"#!/bin/sh\ncat <<'E'\n{lines}E\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("four_gpus")
@pytest.mark.parametrize(
    ("visible", "count"),
    [
        (None, 4),
        ("", 0),
        ("-1", 0),
        ("0", 1),
        ("1,3", 2),
        ("0, 1", 2),
        ("0,7,1", 1),
        ("NoDevFiles", 0),
        ("GPU-1,MIG-2", 2),
    ],
)
def test_visible_gpus(visible: str | None, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert count_gpus() == count
    assert room_for_processes() == (count or len(os.sched_getaffinity(0)))


def test_a_driver_that_fails_counts_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'; exit 9\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert count_gpus() == 0
