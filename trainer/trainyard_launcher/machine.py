"""What a run is made on: machine.json, which the report shows."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from trainyard_api.documents import Gpu, Machine
from trainyard_api.hardware import count_gpus

_CPUINFO = Path("/proc/cpuinfo")
_MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")
_GPUS = ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits")
_MIB = 1024 * 1024


def this_machine() -> Machine:
    """The part of this machine that a process started here may use. No torch is imported."""
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memoryBytes=_memory(),
        gpus=_gpus(),
        python=platform.python_version(),
        torch=_version("torch"),
        trainyard=_version("trainyard"),
    )


def _processor() -> str:
    """The model's name; the architecture where the system tells no name (ARM)."""
    for line in _CPUINFO.read_text(errors="replace").splitlines() if _CPUINFO.exists() else []:
        name, _, value = line.partition(":")
        if name.strip() == "model name" and value.strip():
            return value.strip()
    return platform.machine()


def _memory() -> int:
    """Bytes of memory, or of this container's share of it (cgroup v2)."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _MEMORY_LIMIT.read_text().strip() if _MEMORY_LIMIT.exists() else "max"
    return min(whole, int(limit)) if limit.isdigit() else whole


def _gpus() -> list[Gpu]:
    if not count_gpus():
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    command = [*_GPUS, f"--id={visible}"] if visible else list(_GPUS)
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []  # the report does without: it's no reason not to train
    rows = [line.rpartition(",") for line in listed.stdout.splitlines()]
    return [Gpu(name=name, memoryBytes=int(mib) * _MIB if mib.strip().isdigit() else 0) for name, _, mib in rows]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # copied beside the program, not installed
        return "unknown"
