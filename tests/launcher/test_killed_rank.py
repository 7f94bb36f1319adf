"""A rank of a recipe is killed while its job runs: the job goes on in place, and ends like one left alone."""

import os
import signal
from pathlib import Path

from support.launched import ScriptJob, recipe_job, wait_until
from trainyard_launcher.processes import is_alive
from trainyard_launcher.runtime import read_pids, read_progress


def new_job(folder: Path) -> ScriptJob:
    folder.mkdir()
    train = {"epochs": 60, "batchSize": 8, "optimizer": {"type": "adam"}}
    return recipe_job(folder, train=train, processesPerNode=2, checkpoint={"everySteps": 10})


def steps(job: ScriptJob) -> int:
    progress = read_progress(job.runtime) if (job.folder / "cache").exists() else None
    return progress.step if progress and progress.step else 0


def kill_unnoticed(victim: int, peer: int) -> None:
    """SIGKILL `victim`; torchrun learns of it when the peer, too, has ended for want of it, as on a busy machine."""
    torchrun = int(Path(f"/proc/{victim}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(torchrun, signal.SIGSTOP)
    os.kill(victim, signal.SIGKILL)
    threads = Path(f"/proc/{peer}/task")
    wait_until(lambda: not is_alive(peer) and len(list(threads.glob("*"))) < 2, "the peer ends with all its threads")
    os.kill(torchrun, signal.SIGCONT)


def test_a_recipe_goes_on_after_sigkill_and_ends_bit_identical(tmp_path: Path) -> None:
    job = new_job(tmp_path / "killed")
    with job.running() as process:
        wait_until(lambda: steps(job) > 25, "training is under way")
        pids = read_pids(job.runtime)
        kill_unnoticed(pids[1], pids[0])
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "Rank 1 was killed from outside (SIGKILL). Restart 1 of 3 from the last checkpoint." in out
    assert "Restart 2" not in out
    assert sorted(path.name for path in job.runtime.iterdir()) == ["job.json", "logs", "running.lock"]
    undisturbed = new_job(tmp_path / "undisturbed")
    assert undisturbed.run().code == 0
    weights = Path("trained", "weights.safetensors")
    assert (job.run_folder / weights).read_bytes() == (undisturbed.run_folder / weights).read_bytes()
