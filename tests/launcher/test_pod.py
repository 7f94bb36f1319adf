"""What is different in a pod: the first process, patience with the network, faults of the node."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.launched import wait_until
from trainyard_api.documents import ResolvedJob
from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_launcher import patience, preflight
from trainyard_launcher.environment import interface_of
from trainyard_launcher.patience import patiently
from trainyard_launcher.processes import is_alive
from trainyard_storage import open_store

FIRST = """
import os, subprocess, sys, time
from trainyard_launcher.first import as_first_process
from trainyard_launcher.processes import adopt_orphans
adopt_orphans()
def main():
{body}
sys.exit(as_first_process(main))
"""


def first_process(body: str) -> subprocess.Popen[str]:
    code = FIRST.format(body="\n".join(f"    {line}" for line in body.splitlines()))
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_the_first_process_buries_orphans_and_gives_the_exit_code() -> None:
    body = """
child = subprocess.Popen(["sh", "-c", "sleep 0 & echo $!"], stdout=subprocess.PIPE, text=True)
print(child.communicate()[0].strip(), flush=True)
sys.stdin.read()
return 7"""
    code = FIRST.format(body="\n".join(f"    {line}" for line in body.splitlines()))
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdin is not None
        orphan = int(first.stdout.readline())
        wait_until(lambda: not Path(f"/proc/{orphan}").exists(), "not even a zombie is left")
        first.stdin.close()
        assert first.wait(60) == 7


def test_the_first_process_passes_sigterm_on() -> None:
    with first_process("print(os.getpid(), flush=True)\ntime.sleep(600)") as first:
        assert first.stdout is not None
        child = int(first.stdout.readline())
        first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 128 + signal.SIGTERM
        assert not is_alive(child)


def unreachable(times: int, code: ExitCode = ExitCode.INFRASTRUCTURE) -> Iterator[TrainyardError]:
    for _ in range(times):
        yield TrainyardError("Storage does not answer.", "s3://bucket", code=code)


def test_what_may_pass_is_tried_again_and_what_may_not_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_PAUSE", 0.0)
    told: list[str] = []
    errors = unreachable(2)

    def flaky() -> str:
        for error in errors:
            raise error
        return "there"

    assert patiently(flaky, told.append, 60.0) == "there"
    assert told == ["s3://bucket: Storage does not answer."] * 2
    errors = unreachable(1)
    with pytest.raises(TrainyardError, match="does not answer"):
        patiently(flaky, told.append, 0.0)
    errors = unreachable(1, ExitCode.INVALID)
    with pytest.raises(TrainyardError, match="does not answer"):
        patiently(flaky, told.append, 60.0)


def job(processes: int | str) -> ResolvedJob:
    spec = {"script": {"command": ["-m", "this"]}, "processesPerNode": processes}
    document = {"name": "job", "namespace": "default", "uid": "u", "spec": spec, "processesPerNode": 4}
    return ResolvedJob.model_validate(document)


@pytest.mark.parametrize(
    ("processes", "there", "code"),
    [("auto", 3, ExitCode.INFRASTRUCTURE), ("auto", 0, ExitCode.INFRASTRUCTURE), (4, 3, ExitCode.INVALID)],
)
def test_gpus_that_were_promised_are_the_nodes_fault(
    processes: int | str, there: int, code: ExitCode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "count_gpus", lambda: there)
    with pytest.raises(TrainyardError) as refused:
        preflight.preflight(job(processes), open_store(str(tmp_path)), tmp_path, in_pod=True)
    assert refused.value.code == code
    assert f"{there}" in refused.value.what


def test_the_interface_of_a_pod_is_found_by_its_address() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent: the system chooses the address it would send from
        address = probe.getsockname()[0]
    assert interface_of(address) in [name for _, name in socket.if_nameindex() if name != "lo"]
    assert interface_of("127.0.0.1") is None
    assert interface_of("192.0.2.1") is None
