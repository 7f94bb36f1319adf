"""How many processes this machine has room for: one per GPU, or one per core without GPUs. No torch."""

import os
import shutil
import subprocess
from pathlib import Path

_DRIVER = Path("/proc/driver/nvidia/gpus")


def room_for_processes() -> int:
    """GPUs that a process started here may use; the cores it may use if there are none. At least 1."""
    return count_gpus() or len(os.sched_getaffinity(0))


def count_gpus() -> int:
    """NVIDIA GPUs that a process started here would see, by CUDA's own rules for CUDA_VISIBLE_DEVICES."""
    present = _present()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None or not present:
        return present
    count = 0
    for name in visible.split(","):
        number = name.strip()
        # CUDA stops at the first entry that names nothing.
        if not number.startswith(("GPU-", "MIG-")) and not (number.isdigit() and int(number) < present):
            break
        count += 1
    return count


def _present() -> int:
    program = shutil.which("nvidia-smi")
    if program:
        try:
            listed = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=20, check=True)
        except (OSError, subprocess.SubprocessError):
            return 0  # the driver doesn't answer: CUDA wouldn't either
        return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
    return len(list(_DRIVER.iterdir())) if _DRIVER.is_dir() else 0
