"""Faults of ranks: what is restarted, what isn't, what is said, and that nobody is left behind."""

import os
import signal
from pathlib import Path

from support.launched import ScriptJob, end_of, wait_until
from trainyard_launcher.processes import is_alive

ONCE = """
    import os, signal, sys, time
    from pathlib import Path
    first = os.environ["TRAINYARD_ATTEMPT"] == "1"
    rank = int(os.environ["RANK"])
"""


def test_a_program_runs_once_and_its_lines_are_shown(tmp_path: Path) -> None:
    job = ScriptJob(tmp_path, "import os, sys\nprint('hello from', os.environ['RANK'], sys.argv)", processesPerNode=2)
    done = job.run()
    assert done.code == 0, done.err
    assert "[0] hello from 0 ['train.py']" in done.out
    assert "[1] hello from 1 ['train.py']" in done.out
    assert "a hang would not have been noticed" in done.out
    assert (job.run_folder / "FINISHED.json").exists()
    assert list((job.run_folder / "logs").rglob("script-rank-00001.log"))
    again = job.run()
    assert again.code == 0
    assert "finished" in again.out
    assert "hello" not in again.out


def test_an_exception_is_one_plain_message_and_names_the_rank(tmp_path: Path) -> None:
    program = """
        import os, time
        print("almost there", flush=True)
        if os.environ["RANK"] == "1":
            raise ValueError("these go together badly: 3 and 4")
        time.sleep(60)
    """
    job = ScriptJob(tmp_path, program, processesPerNode=2, recovery={"maxRestarts": 0})
    done = job.run()
    assert done.code == 1
    assert "Rank 1 failed: ValueError: these go together badly: 3 and 4" in done.err
    assert "train.py:5" in done.err
    assert "Traceback" not in done.err
    assert len(done.err.splitlines()) < 6
    message = job.termination()
    assert message["rank"] == 1
    assert message["cause"] == "UserError"
    assert message["exception"] == "ValueError: these go together badly: 3 and 4"
    assert "almost there" in message["lastLines"]
    assert (tmp_path / "termination.json").stat().st_size <= 4096


def test_what_a_retry_cannot_cure_is_not_retried(tmp_path: Path) -> None:
    job = ScriptJob(tmp_path, "import a_module_that_is_not_there", recovery={"maxRestarts": 3})
    done = job.run()
    assert done.code == 2
    assert "No module named 'a_module_that_is_not_there'" in done.err
    assert "Restart" not in done.out
    assert len(list((job.run_folder / "attempts").iterdir())) == 1


def test_a_killed_rank_is_restarted_in_place_and_counted(tmp_path: Path) -> None:
    program = (
        ONCE
        + """
    if first and rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if first:
        time.sleep(60)  # as if it waited for its peer
    print("came through")
    """
    )
    job = ScriptJob(tmp_path, program, processesPerNode=2)
    done = job.run()
    assert done.code == 0, done.err
    assert "Rank 1 was killed from outside (SIGKILL). Restart 1 of 3" in done.out
    assert done.out.count("came through") == 2
    assert len(list((job.run_folder / "attempts").iterdir())) == 2


def test_a_hang_shows_every_stack_and_is_restarted(tmp_path: Path) -> None:
    program = (
        ONCE
        + """
    from trainyard_launcher.runtime import Heartbeat, runtime_from_environment
    runtime = runtime_from_environment()
    def stuck_in_here():
        time.sleep(600)
    if first:
        heart = Heartbeat(runtime, rank)
        while len(list(runtime.glob("heartbeat-*"))) < 2:
            time.sleep(0.01)
        heart.beat(41 + rank)
        stuck_in_here()
    """
    )
    job = ScriptJob(tmp_path, program, processesPerNode=2, recovery={"hangSeconds": 2})
    done = job.run()
    assert done.code == 0, done.err
    assert "rank 0 is furthest behind, at step 41" in done.out
    assert "Restart 1 of 3" in done.out
    for rank in range(2):
        assert "stuck_in_here" in (job.runtime / "logs" / f"script-rank-{rank:05d}.log").read_text()


def test_nothing_survives_a_killed_launcher_and_one_run_keeps_another_out(tmp_path: Path) -> None:
    program = """
        import os, subprocess, time
        from pathlib import Path
        helper = subprocess.Popen(["sleep", "600"], start_new_session=True)
        Path(f"pids-{os.environ['RANK']}").write_text(f"{os.getpid()} {os.getppid()} {helper.pid}")
        time.sleep(600)
    """
    job = ScriptJob(tmp_path, program, processesPerNode=2)
    with job.running() as process:
        paths = [tmp_path / f"pids-{rank}" for rank in range(2)]
        wait_until(lambda: all(path.exists() and path.read_text().count(" ") == 2 for path in paths), "both ranks run")
        pids = {int(word) for path in paths for word in path.read_text().split()}
        assert all(is_alive(pid) for pid in pids)
        second = job.run()
        assert second.code == 1
        assert f"The same job runs already, as process {process.pid}" in second.err
        os.kill(process.pid, signal.SIGKILL)
        wait_until(lambda: not any(is_alive(pid) for pid in pids), "every process is gone", seconds=20)


def test_a_second_signal_ends_a_program_that_does_not_listen(tmp_path: Path) -> None:
    program = """
        import signal, time
        from pathlib import Path
        signal.signal(signal.SIGTERM, lambda *_: Path("asked").touch())
        Path("ready").touch()
        while True:
            time.sleep(1)
    """
    job = ScriptJob(tmp_path, program)
    with job.running() as process:
        wait_until((tmp_path / "ready").exists, "the program runs")
        process.send_signal(signal.SIGINT)
        wait_until((tmp_path / "asked").exists, "the signal arrives")
        process.send_signal(signal.SIGINT)
        done = end_of(process, 20)
    assert done.code == 130
    assert "Go on with: trainyard run job.yaml --storage runs" in done.out
