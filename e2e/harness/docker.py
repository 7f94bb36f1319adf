"""Docker: a client that can build, and a daemon, started if that is allowed and none runs."""

import functools
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from harness.places import STATE
from harness.process import Failed, run, step, works

_INSTALL = "sudo apt-get install docker.io"
_START_SECONDS = 60
_PID = STATE / "dockerd.pid"
_SYS_RESOURCE = 1 << 24  # CAP_SYS_RESOURCE, in a set of capabilities


def docker(*words: str, input: bytes | None = None) -> str:
    """What `docker words` prints. Raises Failed."""
    return run(client(), *words, input=input, env={"DOCKER_BUILDKIT": "1"})


@functools.cache
def client() -> str:
    """The first docker on the path that can build with BuildKit: from 23 on that takes the plug-in buildx."""
    found = [shutil.which("docker", path=folder) for folder in os.get_exec_path()]
    for program in filter(None, found):
        version = re.search(r"version (\d+)", run(program, "--version"))
        if (version and int(version[1]) < 23) or works(program, "buildx", "version"):
            return program
    raise Failed(f"docker{' with its plug-in buildx' if any(found) else ''} (runs the cluster): {_INSTALL}")


def ensure_daemon() -> None:
    """A daemon that answers. Raises Failed, saying what to do, if none does and none can be started."""
    if works(client(), "info"):
        return
    daemon = shutil.which("dockerd")
    if os.geteuid() != 0 or daemon is None:
        how = _INSTALL if daemon is None else "sudo systemctl start docker, as a user in the group docker"
        raise Failed(f"a running docker that this user may use (runs the cluster): {how}")
    with step("docker daemon"):
        _start(daemon)


def stop_daemon() -> None:
    """End the daemon that `ensure_daemon` started, if nothing runs in it any more."""
    if _PID.exists() and works(client(), "info") and not docker("ps", "--quiet"):
        os.kill(int(_PID.read_text()), 15)
        _PID.unlink()


def has_image(tag: str) -> bool:
    """Whether the daemon has this image."""
    return works(client(), "image", "inspect", tag)


def pull(image: str) -> bool:
    """Have `image`, from its registry if need be; False if that can't be reached."""
    return has_image(image) or works(client(), "pull", "--quiet", image)


def _start(daemon: str) -> None:
    STATE.mkdir(parents=True, exist_ok=True)
    settings = STATE / "dockerd.json"
    settings.write_text(json.dumps(_held_runtime() if _is_held() else {}))
    log = STATE / "dockerd.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [daemon, "--config-file", str(settings)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    _PID.write_text(str(process.pid))
    deadline = time.monotonic() + _START_SECONDS
    while not works(client(), "info"):
        if process.poll() is not None or time.monotonic() > deadline:
            _PID.unlink()
            raise Failed(f"dockerd doesn't start:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.2)


def _is_held() -> bool:
    """Whether this process lacks a capability that `--privileged` asks for."""
    found = re.search(r"CapEff:\s*(\w+)", Path("/proc/self/status").read_text())
    return found is not None and not int(found[1], 16) & _SYS_RESOURCE


def _held_runtime() -> dict[str, object]:
    path = str(Path(__file__).with_name("runc_held.py"))
    return {"runtimes": {"held": {"path": path}}, "default-runtime": "held"}
