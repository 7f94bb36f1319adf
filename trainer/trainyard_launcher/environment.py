"""The environment of the processes that the launcher starts."""

import fcntl
import os
import socket
import struct
from pathlib import Path

from trainyard_launcher.node import Node
from trainyard_launcher.stages import Stage
from trainyard_launcher.work import Work

_SIOCGIFADDR = 0x8915


def environment(work: Work, stage: Stage, attempt: int) -> dict[str, str]:
    """This process's own, with what the processes of `stage` need to know. What a user has set stays."""
    processes = work.job.processes_per_node if stage.ranks else 1
    return {
        # Libraries share the cores out among ranks; torchrun would give each rank one and warn of it.
        "OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // processes)),
        **(_in_pod(work.node) if work.node else {}),
        **os.environ,
        "TRAINYARD_JOB": str(work.runtime / "job.json"),
        "TRAINYARD_RUN": work.store.uri,
        "TRAINYARD_RUNTIME": str(work.runtime),
        "TRAINYARD_ATTEMPT": str(attempt),
        "TRAINYARD_STAGE": stage.name,
        "PYTHONSAFEPATH": "1",  # the program's folder comes onto sys.path when the program starts, not before
        **_home(),
    }


def _in_pod(node: Node) -> dict[str, str]:
    """Caches where a pod may write, and the network that the pods have in common."""
    found = {}
    if cache := os.environ.get("XDG_CACHE_HOME"):
        found = {"TORCHINDUCTOR_CACHE_DIR": f"{cache}/torchinductor", "TRITON_CACHE_DIR": f"{cache}/triton"}
    if name := interface_of(node.address):
        # Else gloo takes the host name's address, and nccl the first interface that is up.
        found |= {"GLOO_SOCKET_IFNAME": name, "NCCL_SOCKET_IFNAME": f"={name}"}
    return found


def _home() -> dict[str, str]:
    """A home that can be written, for libraries that insist on one: a container's may not."""
    cache, home = os.environ.get("XDG_CACHE_HOME"), os.environ.get("HOME")
    return {"HOME": cache} if cache and not (home and os.access(Path(home), os.W_OK)) else {}


def interface_of(address: str) -> str | None:
    """The network interface that has this IPv4 address (netdevice(7), SIOCGIFADDR); None: none, or it's loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:  # it has none
                continue
            if name != "lo" and socket.inet_ntoa(answer[20:24]) == address:
                return name
    return None
