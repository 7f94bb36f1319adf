"""What can be known to be wrong before anything is started."""

import os
import platform
import shutil
from pathlib import Path

from trainyard_api.documents import ResolvedJob
from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_api.hardware import count_gpus
from trainyard_storage import Store

SHARED_MEMORY_PER_RANK = 16 * 1024 * 1024


def preflight(job: ResolvedJob, store: Store, folder: Path, *, in_pod: bool = False) -> None:
    """Check storage, devices, shared memory and the program. Raises TrainyardError on the first that won't do.

    In a pod, missing GPUs are the node's fault if as many were asked for, and another pod may help; its shared memory
    is its own, so what is too small is too small in the next one.
    """
    _check_program(job, folder)
    _check_devices(job, in_pod)
    _check_shared_memory(job, Path("/dev/shm"), ExitCode.INVALID if in_pod else ExitCode.INFRASTRUCTURE)
    key = f"attempts/.writable-{platform.node()}-{os.getpid()}"
    store.put(key, b"")  # says itself what is wrong
    store.delete([key])


def _check_program(job: ResolvedJob, folder: Path) -> None:
    if not job.spec.script:
        return
    program = job.spec.script.command[0]
    if program != "-m" and not (folder / program).is_file():
        raise TrainyardError(
            f"There is no program {program} in {folder}.",
            "spec.script.command",
            "Name a Python file relative to the manifest, or [-m, package.module].",
            cause="ProgramMissing",
        )


def _check_devices(job: ResolvedJob, in_pod: bool) -> None:
    devices = count_gpus()
    if (
        in_pod
        and job.spec.processes_per_node == "auto"
        and job.processes_per_node > devices
        and (
            devices or job.processes_per_node > 1  # one process may well be meant for the CPU
        )
    ):
        raise TrainyardError(
            f"This pod was promised {job.processes_per_node} GPUs, and sees {devices}.",
            platform.node(),
            "Look at the node's driver and device plugin. Another pod may get another node.",
            ExitCode.INFRASTRUCTURE,
            "DevicesMissing",
        )
    if devices and job.processes_per_node > devices:
        raise TrainyardError(
            f"{job.processes_per_node} processes are asked for, and there are {devices} GPUs.",
            "spec.processesPerNode",
            f"Set it to {devices} at most: processes don't share a GPU.",
            cause="TooFewDevices",
        )


def _check_shared_memory(job: ResolvedJob, mount: Path, code: ExitCode) -> None:
    if not mount.is_dir():
        return
    needed = SHARED_MEMORY_PER_RANK * job.processes_per_node
    free = shutil.disk_usage(mount).free
    if free < needed:
        raise TrainyardError(
            f"{mount} has {free >> 20} MiB free, {needed >> 20} MiB are needed.",
            str(mount),
            "Free some, or give the container more (docker run --shm-size, template.shmSize).",
            code,
            "SharedMemoryFull",
        )
