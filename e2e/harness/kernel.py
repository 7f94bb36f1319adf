"""What the kubelets of the nodes change in this machine's kernel, which all share: remembered, and put back.

With vm.overcommit_memory at 1, for one, a program that asks for too much memory is no longer refused: it takes it all.
"""

import contextlib
import json
from pathlib import Path

from harness.places import STATE

_REMEMBERED = STATE / "kernel.json"
# https://github.com/kubernetes/kubernetes/blob/v1.34.2/pkg/kubelet/cm/container_manager_linux.go
_SETTINGS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)


def remember() -> None:
    """Note the settings as they are, unless they're noted already: they may be the kubelets' by now."""
    if not _REMEMBERED.exists():
        _REMEMBERED.write_text(json.dumps({name: _path(name).read_text() for name in _SETTINGS}))


def restore() -> None:
    """Put them back, if this user may."""
    if _REMEMBERED.exists():
        for name, value in json.loads(_REMEMBERED.read_text()).items():
            with contextlib.suppress(PermissionError):
                _path(name).write_text(value)
        _REMEMBERED.unlink()


def _path(name: str) -> Path:
    return Path("/proc/sys", name)
