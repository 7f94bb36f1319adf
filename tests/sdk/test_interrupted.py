"""A program that uses the SDK is stopped by Ctrl-C and by SIGTERM, watched by Prometheus, and goes on to its end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from support.launched import ScriptJob, end_of, wait_until

PROGRAM = """
    import time
    import torch
    from pathlib import Path
    from trainyard_trainer import current_job

    job = current_job()
    job.init_process_group()
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    if job.world > 1:
        model = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    checkpoints = job.checkpointer({"model": model, "optimizer": optimizer})
    start = checkpoints.load()
    for step in range(start + 1, 61):
        x = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))[job.rank :: job.world]
        loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        job.log(step, steps=60, loss=loss.item(), accuracy=0.5)
        checkpoints.step(step, samples=8)
        if job.rank == 0 and Path("slow").exists():
            time.sleep(0.2)
    if job.rank == 0:
        bare = getattr(model, "module", model)
        print("began at", start, "weights", bare.weight.tolist())
"""


def weights(out: str) -> str:
    found = re.search(r"weights (.*)", out)
    assert found, out
    return found[1]


def scrape(job: ScriptJob) -> dict[str, float]:
    """One scrape while the job runs, by Prometheus' own parser: sample name -> value."""
    port = wait_until(
        lambda: (job.runtime / "metrics-port").exists() and (job.runtime / "metrics-port").read_text(), ""
    )
    body = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
    families = list(text_string_to_metric_families(body))
    for family in families:
        assert family.name.startswith("trainyard_")
        assert family.documentation
        assert family.type in ("gauge", "counter", "histogram")
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_interrupted_twice_ends_like_undisturbed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    job = ScriptJob(tmp_path / "a", PROGRAM, processesPerNode=2)
    slow = tmp_path / "a" / "slow"
    slow.touch()

    def steps() -> int:
        return json.loads((job.runtime / "progress.json").read_text())["step"] if _progressing(job) else 0

    with job.running() as process:
        wait_until(lambda: steps() >= 3, "some steps are done")
        told = scrape(job)
        assert told["trainyard_step"] >= 2
        assert told["trainyard_samples_total"] == 8 * told["trainyard_step_seconds_count"]
        assert told["trainyard_training_loss"] >= 0
        os.killpg(process.pid, signal.SIGINT)  # a terminal's Ctrl-C goes to the whole foreground group
        first = end_of(process)
    assert first.code == 130, first.err
    kept = re.search(r"the checkpoint of step (\d+) is kept. Go on with: trainyard run job.yaml", first.out)
    assert kept, first.out
    with job.running() as process:
        wait_until(lambda: steps() > int(kept[1]) + 2, "it went on")
        process.send_signal(signal.SIGTERM)
        second = end_of(process)
    assert second.code == 143, second.err
    slow.unlink()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        third = job.run(TRAINYARD_METRICS_PORT=str(taken.getsockname()[1]))
    assert third.code == 0, third.err
    assert "No metrics are served, training goes on without" in third.out
    assert "began at 0" not in third.out
    history = [json.loads(line) for line in (job.run_folder / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in history] == list(range(1, 61))

    undisturbed = ScriptJob(tmp_path / "b", PROGRAM, processesPerNode=2).run()
    assert undisturbed.code == 0, undisturbed.err
    assert weights(third.out) == weights(undisturbed.out)


def _progressing(job: ScriptJob) -> bool:
    root = job.folder / "cache" / "trainyard" / "runtime"
    return root.exists() and (job.runtime / "progress.json").exists()


def test_the_sdk_works_without_a_launcher(tmp_path: Path) -> None:
    job = ScriptJob(tmp_path, PROGRAM)
    done = subprocess.run(
        [sys.executable, "train.py"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "began at 0" in done.stdout
    history = (job.folder / "trainyard-runs" / "local" / "train" / "history.jsonl").read_text().splitlines()
    assert len(history) == 60
