"""The launcher's parts by themselves."""

import json
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.launched import wait_until
from trainyard_api.documents import Fault, NodeReport, ResolvedJob
from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_launcher.account import report_text, short_fault
from trainyard_launcher.attempts import begin_attempt, only_one, still_ours
from trainyard_launcher.faults import diagnose, exit_code, retry_may_help
from trainyard_launcher.gang.wish import NoPeers
from trainyard_launcher.hang import HangWatch
from trainyard_launcher.identity import run_digest
from trainyard_launcher.logs import upload_logs
from trainyard_launcher.processes import Tree, is_alive
from trainyard_launcher.rank import lost_peer
from trainyard_launcher.runtime import (
    Heartbeat,
    clear,
    read_faults,
    read_heartbeats,
    read_pids,
    sweep,
    write_fault,
    write_pid,
)
from trainyard_launcher.torchrun import Place, failures, torchrun_command
from trainyard_storage import open_store

SUMMARY = """
Failures:
[1]:
  rank      : 0 (local_rank: 0)
  exitcode  : 1 (pid: 98)
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  time      : 2026-11-21_07:00:00
  host      : here
  rank      : 1 (local_rank: 1)
  exitcode  : -9 (pid: 99)
  error_file: <N/A>
"""


def job_in(folder: Path, *arguments: str, nodes: int = 1) -> ResolvedJob:
    spec = {"script": {"command": ["train.py", *arguments]}, "storage": {"uri": f"file://{folder}/runs"}}
    document = {"name": "job", "namespace": "default", "uid": "u", "spec": spec, "nodes": nodes, "folder": str(folder)}
    return ResolvedJob.model_validate_json(json.dumps(document))


@given(
    st.builds(
        Fault,
        cause=st.text(max_size=30),
        message=st.text(max_size=6000),
        exception=st.text(max_size=6000),
        lastLines=st.lists(st.text(max_size=500), max_size=20),
    )
)
def test_a_termination_message_fits_and_can_be_read(fault: Fault) -> None:
    text = report_text(NodeReport(fault=fault, waiting="x" * 9000), 4096)
    assert len(text.encode()) <= 4096
    said = NodeReport.model_validate_json(text).fault
    assert said is not None
    assert said.cause == fault.cause
    assert len(short_fault(fault).model_dump_json().encode()) <= 4096


def test_attempts_are_numbered_once_each(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    numbers: list[int] = []
    threads = [threading.Thread(target=lambda: numbers.append(begin_attempt(store))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 9))


def test_what_an_older_attempt_would_finish_is_left_to_the_newer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(str(tmp_path))
    begin_attempt(store)
    still_ours(store)  # nobody launched this process
    monkeypatch.setenv("TRAINYARD_ATTEMPT", "1")
    still_ours(store)
    begin_attempt(store)
    with pytest.raises(TrainyardError, match="taken over") as refused:
        still_ours(store)
    assert (refused.value.code, refused.value.cause) == (3, "Fenced")


def test_what_a_killed_preflight_leaves_is_no_attempt(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.put("attempts/.writable-12", b"")
    assert [begin_attempt(store), begin_attempt(store)] == [1, 2]


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    with only_one(tmp_path, "here"):
        with pytest.raises(TrainyardError, match="runs already") as refused, only_one(tmp_path, "here"):
            pass
        assert str(os.getpid()) in refused.value.what
    with only_one(tmp_path, "here"):
        pass


def test_a_changed_program_is_another_run_and_a_moved_one_is_not(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.py").write_text("print(1)")
    before = run_digest(job_in(tmp_path / "a"))
    assert run_digest(job_in(tmp_path / "b")) == before
    assert run_digest(job_in(tmp_path / "a", "--epochs", "2")) != before
    (tmp_path / "b" / "helper.py").write_text("")
    assert run_digest(job_in(tmp_path / "b")) != before


def test_a_beat_is_cheap_and_read_back(tmp_path: Path) -> None:
    """It costs less than the smallest write to a file, which is what it stands in for."""
    heart = Heartbeat(tmp_path, 3)
    assert read_heartbeats(tmp_path) == {}
    assert fastest(heart.beat) < fastest(lambda step: (tmp_path / "file").write_bytes(b"%d" % step))
    assert read_heartbeats(tmp_path)[3][0] == 999
    heart.rest()
    assert read_heartbeats(tmp_path) == {}


def fastest(act: Callable[[int], object]) -> float:
    """Seconds for a thousand calls, the best of five: other processes only ever add."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        for number in range(1000):
            act(number)
        times.append(time.perf_counter() - began)
    return min(times)


def test_a_rank_that_rested_goes_on_as_before(tmp_path: Path) -> None:
    heart = Heartbeat(tmp_path, 0)
    with heart.resting():
        assert read_heartbeats(tmp_path) == {}
    assert read_heartbeats(tmp_path) == {}, "a program without heartbeats has none afterwards"
    heart.beat(7)
    before = read_heartbeats(tmp_path)[0]
    with heart.resting():
        assert read_heartbeats(tmp_path) == {}
    assert read_heartbeats(tmp_path)[0] > before
    assert read_heartbeats(tmp_path)[0][0] == 7


def test_a_beat_that_is_half_written_after_a_rest_is_none_yet(tmp_path: Path) -> None:
    (tmp_path / "heartbeat-00000").write_bytes(struct.pack("@qd", 359, 0.0))
    assert read_heartbeats(tmp_path) == {}


def test_only_silence_of_all_living_ranks_is_a_hang(tmp_path: Path) -> None:
    hearts = [Heartbeat(tmp_path, rank) for rank in range(2)]
    patient, watch = HangWatch(tmp_path, 3600), HangWatch(tmp_path, 1)
    assert watch.hung() is None
    for rank, heart in enumerate(hearts):
        write_pid(tmp_path, rank)
        heart.beat(7 - rank)
    assert "rank 1 is furthest behind, at step 6" in wait_until(watch.hung, "a hang is seen")
    assert patient.hung() is None
    hearts[0].rest()
    assert watch.hung() is None
    assert HangWatch(tmp_path, "auto").limit() == 60


class Elsewhere(NoPeers):
    """Another node, of which one knows whether it rests."""

    rests = True

    def rest(self, *, here: bool) -> bool:
        return here or self.rests


def test_nobody_hangs_who_waits_for_a_rank_that_rests_on_another_node(tmp_path: Path) -> None:
    elsewhere = Elsewhere()
    watch, alone = HangWatch(tmp_path, 1, peers=elsewhere), HangWatch(tmp_path, 1)
    write_pid(tmp_path, 0)
    Heartbeat(tmp_path, 0).beat(7)
    wait_until(alone.hung, "it has been silent for long")
    assert watch.hung() is None
    elsewhere.rests = False
    assert watch.hung() is None, "the rank here had no time yet to go on"
    assert "at step 7" in wait_until(watch.hung, "a hang is seen")


def test_a_start_without_a_step_is_a_hang_where_steps_are_sure_to_come(tmp_path: Path) -> None:
    sure, unsure = HangWatch(tmp_path, 1, start_seconds=1.0), HangWatch(tmp_path, 1)
    assert sure.hung() is None
    write_pid(tmp_path, 0)
    assert "no rank has done its first step within" in wait_until(sure.hung, "a hang is seen")
    assert unsure.hung() is None


def test_what_may_be_large_goes_and_logs_stay(tmp_path: Path) -> None:
    for name in ("prepare-x1/output", "staging", "logs"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").touch()
    clear(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "staging"]
    sweep(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["logs", "file"]


def test_a_rank_that_ends_while_its_pid_is_read_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pid(tmp_path, 0)
    write_pid(tmp_path, 1)
    (tmp_path / "pid-00002").touch()  # nothing is in it yet
    real = Path.read_text

    def read(path: Path) -> str:
        if path.name == "pid-00000":  # it ends between the look at the folder and this one
            path.unlink()
        return real(path)

    monkeypatch.setattr(Path, "read_text", read)
    assert read_pids(tmp_path) == {1: os.getpid()}


def test_logs_of_ranks_that_another_node_has_now_are_not_copied(tmp_path: Path) -> None:
    names = ["prepare-rank-00000.log", "train-rank-00000.log", "train-rank-00001.log", "train-rank-00002.log"]
    (tmp_path / "logs").mkdir()
    for name in (*names, "torchrun.log"):
        (tmp_path / "logs" / name).write_text(name)
    store = open_store(str(tmp_path / "run"))
    assert upload_logs(store, tmp_path / "logs", "train", 7, range(1, 3), node=1) is None
    copied = [info.key for info in store.list("logs/")]
    assert sorted(copied) == [f"logs/00007/{name}" for name in ("torchrun-node-00001.log", *names[2:])]


def test_the_first_fault_of_a_rank_stays(tmp_path: Path) -> None:
    write_fault(tmp_path, Fault(cause="First", message="", rank=1))
    write_fault(tmp_path, Fault(cause="Second", message="", rank=1))
    write_fault(tmp_path, Fault(cause="Third", message="", rank=0))
    assert [fault.cause for fault in read_faults(tmp_path)] == ["First", "Third"]


def test_the_rank_that_failed_first_is_the_culprit() -> None:
    assert [(end.rank, end.exit_code, end.pid) for end in failures(SUMMARY)] == [(1, -9, 99), (0, 1, 98)]
    assert failures("all is well") == []


@pytest.mark.parametrize(
    ("summary", "dead", "rank", "cause"),
    [
        (SUMMARY.replace("1 (pid: 98)", "-9 (pid: 98)").replace("-9 (pid: 99)", "3 (pid: 99)"), [], 0, "Killed"),
        ("", [0, 1], 0, "Killed"),  # the tree was killed: torchrun said nothing
        ("", [1], 1, "PeerLost"),
    ],
)
def test_a_rank_that_lost_a_peer_is_no_culprit(
    summary: str, dead: list[int], rank: int, cause: str, tmp_path: Path
) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "torchrun.log").write_text(summary)
    write_fault(tmp_path, Fault(cause="PeerLost", message="", rank=1, exitCode=3))
    fault = diagnose(job_in(tmp_path), tmp_path, "train", 1 if summary else 137, dead=dead, oom_kills=0)
    assert fault is not None
    assert (fault.rank, fault.cause) == (rank, cause)
    assert retry_may_help(fault)


def test_why_the_peer_was_lost_comes_before_that_it_was(tmp_path: Path) -> None:
    write_fault(tmp_path, Fault(cause="PeerLost", message="", rank=0, exitCode=3))
    write_fault(tmp_path, Fault(cause="LossNotFinite", message="", rank=1, exitCode=2))
    fault = diagnose(job_in(tmp_path), tmp_path, "train", 1, dead=[0, 1], oom_kills=0)
    assert fault is not None
    assert (fault.rank, fault.cause) == (1, "LossNotFinite")


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(cause="UserError", message="", exitCode=1, exception="ValueError: no"), ExitCode.FAILED),
        (Fault(cause="UserError", message="", exitCode=1, exception="ImportError: no"), ExitCode.INVALID),
        (Fault(cause="LossNotFinite", message="", exitCode=1), ExitCode.INVALID),
        (Fault(cause="EmptyData", message="", exitCode=2), ExitCode.INVALID),
        (Fault(cause="DiskFull", message="", exitCode=3), ExitCode.INFRASTRUCTURE),
        (Fault(cause="Killed", message="", exitCode=-9), ExitCode.FAILED),
    ],
)
def test_exit_codes_tell_whether_a_retry_may_help(fault: Fault, code: ExitCode) -> None:
    assert exit_code(fault) == code
    assert retry_may_help(fault) == (code == ExitCode.FAILED)


def test_peers_that_lose_each_other_though_nobody_goes_end_in_failure() -> None:
    """Else a pod that nothing is wrong with is replaced for ever."""
    fault = Fault(cause="PeerLost", message="", exitCode=3)
    assert retry_may_help(fault)
    assert exit_code(fault) == ExitCode.FAILED


def test_an_exit_code_that_is_the_programs_own_says_nothing_of_the_infrastructure(tmp_path: Path) -> None:
    fault = diagnose(job_in(tmp_path), tmp_path, "script", 3, dead=[], oom_kills=0)
    assert fault is not None
    assert (fault.cause, fault.message) == ("UserError", "Rank 0 ended with exit code 3.")
    assert retry_may_help(fault)
    assert exit_code(fault) == ExitCode.FAILED


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:538] Connection closed by peer [10.0.0.1]:4711", True),
        ("Gloo connectFullMesh failed with [/x/gloo/transport/tcp/pair.cc:144] no error", True),
        ("[/x/gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 1800000ms for recv operation", True),
        ("[enforce fail at /x/gloo/transport/tcp/pair.cc:446] op.preamble.length <= op.nbytes. 16 vs 8", False),
        ("the tracking server doesn't answer: Connection refused", False),
        ("[Errno 32] Broken pipe", False),
    ],
)
def test_a_lost_peer_is_known_by_what_gloo_says_of_it(text: str, lost: bool) -> None:
    assert lost_peer(RuntimeError(text)) == lost


@pytest.mark.parametrize(
    ("stage", "remedy"), [("prepare", "prepare.drop"), ("train", "batchSize (now 64)"), ("publish", "export.formats")]
)
def test_out_of_memory_names_what_helps_there(stage: str, remedy: str, tmp_path: Path) -> None:
    spec = {"recipe": {"data": {"uri": "x", "target": "y"}, "train": {"batchSize": 64}}}
    job = ResolvedJob.model_validate({"name": "job", "namespace": "default", "uid": "u", "spec": spec})
    fault = diagnose(job, tmp_path, stage, 137, dead=[], oom_kills=1)
    assert fault is not None
    assert fault.cause == "OutOfMemory"
    assert remedy in fault.remedy


def test_a_node_has_the_rank_that_node_0_gave_it(tmp_path: Path) -> None:
    command = torchrun_command(job_in(tmp_path, nodes=3), ["x.py"], 7, Place(2, 3, "10.0.0.1", 4711))
    assert {"--rdzv-endpoint=10.0.0.1:4711", "--node-rank=2", "--nnodes=3", "--rdzv-id=u-7"} < set(command)
    command = torchrun_command(job_in(tmp_path, nodes=3), ["x.py"], 7, Place(2, 3, "fd00::1", 4711))
    assert "--rdzv-endpoint=[fd00::1]:4711" in command


def test_a_tree_is_killed_with_its_detached_grandchildren(tmp_path: Path) -> None:
    code = "import subprocess, time; print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid, flush=True)"
    log = tmp_path / "log"
    tree = Tree([sys.executable, "-c", f"{code}; time.sleep(600)"], env=os.environ, folder=tmp_path, log=log)
    pid = int(wait_until(lambda: log.read_text().strip(), "the grandchild runs"))
    assert is_alive(pid)
    tree.kill()
    wait_until(lambda: not is_alive(pid), "it is gone", 5)


def test_the_launcher_imports_no_torch() -> None:
    code = "import sys, trainyard_launcher.launch; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
