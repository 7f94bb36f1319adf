"""Several nodes of one job on this machine: a launcher each, as the first process of its pod would be."""

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from support.launched import wait_until, with_no_fuss
from trainyard_api.documents import NodeReport
from trainyard_launcher.ports import free_port
from trainyard_launcher.processes import descendants


@dataclass
class NodeProcess:
    """One launcher, and where to look for what it leaves."""

    index: int
    folder: Path
    process: subprocess.Popen[str]
    report_port: int

    def report(self) -> NodeReport:
        """What it says at /report."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.report_port}/report", timeout=10) as answer:
            body = answer.read()
        assert len(body) <= 16 * 1024
        return NodeReport.model_validate_json(body)

    def reported(self) -> NodeReport:
        """The same; an empty one while it can't be had."""
        try:
            return self.report()
        except OSError:
            return NodeReport()

    def step(self) -> int:
        """How far training is, by node 0's report."""
        progress = self.reported().progress
        return progress.step if progress and self.reported().stage in ("train", "script") else 0

    def ended(self, seconds: float = 240) -> int:
        """Its exit code, once it has ended."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"node {self.index} has not ended:\n{self.log()}") from error

    def log(self) -> str:
        """What it has printed."""
        return (self.folder / "log").read_text()

    def termination(self) -> NodeReport:
        """Its termination message."""
        text = (self.folder / "termination").read_text()
        assert len(text.encode()) <= 4096
        return NodeReport.model_validate_json(text)

    def family(self) -> list[int]:
        """The launcher and all below it."""
        return [self.process.pid, *descendants(self.process.pid)]

    def rank(self) -> int:
        """Process id of its first rank, once there is one."""
        return int(wait_until(self._rank, f"a rank runs on node {self.index}"))

    def signal(self, number: signal.Signals) -> None:
        """Send `number` to everything of the node, as a machine that stops does."""
        for pid in self.family():
            os.kill(pid, number)

    def vanish(self) -> None:
        """Kill everything of the node at once, as deleting the pod in a hurry does."""
        for pid in self.family():
            with_no_fuss(pid)
        self.process.wait()

    def _rank(self) -> int | None:
        found = [path for path in self.folder.glob("scratch/trainyard/runtime/*/pid-*") if path.read_text()]
        return int(min(found).read_text()) if found else None


@dataclass
class Nodes:
    """The nodes of one job; they meet at an address of their own on the loopback interface."""

    folder: Path
    job: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    started: list[NodeProcess] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.address = f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}.{random.randrange(2, 255)}"
        sys.stdout.write(f"the nodes meet at {self.address}\n")
        (self.folder / "job.json").write_text(json.dumps(self.job))

    def start(self, index: int, command: list[str] | None = None, **environment: str) -> NodeProcess:
        """The launcher of node `index`, in a folder of its own; `command`: what starts it."""
        folder = self.folder / f"node-{index}-{len(self.started)}"
        (folder / "scratch").mkdir(parents=True)
        port = free_port()
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                command or [sys.executable, "-m", "trainyard_launcher"],
                cwd=self.folder,
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": "1",
                    "TRAINYARD_JOB": str(self.folder / "job.json"),
                    "TRAINYARD_NODE_INDEX": str(index),
                    "TRAINYARD_RENDEZVOUS_HOST": self.address,
                    "POD_IP": self.address,
                    "TRAINYARD_REPORT_PORT": str(port),
                    "TRAINYARD_METRICS_PORT": "0",
                    "TRAINYARD_TERMINATION_LOG": str(folder / "termination"),
                    "XDG_CACHE_HOME": str(folder / "scratch"),
                    "TMPDIR": str(folder / "scratch"),
                    **self.environment,
                    **environment,
                },
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        node = NodeProcess(index, folder, process, port)
        self.started.append(node)
        return node

    @property
    def run_folder(self) -> Path:
        """The run's folder in storage."""
        (found,) = (self.folder / "runs" / "default" / "job").glob("*/job.json")
        return found.parent

    def attempts(self) -> int:
        """Attempts begun so far, the preparation's among them."""
        return len(list((self.run_folder / "attempts").glob("[0-9]*")))

    def logs(self) -> str:
        """What every node has printed."""
        return "\n".join(f"--- node {node.index}\n{node.log()}" for node in self.started)


@contextmanager
def nodes_of(folder: Path, count: int, **spec: Any) -> Iterator[Nodes]:
    """A job of `count` nodes. At the end of the block nothing of it is left; if that failed, every log is shown."""
    document = {
        "name": "job",
        "namespace": "default",
        "uid": "0b1c",
        "nodes": spec.get("elastic", {}).get("maxNodes", count),
        "spec": {"nodes": count, "storage": {"uri": f"file://{folder}/runs"}, **spec},
    }
    nodes = Nodes(folder, document)
    try:
        yield nodes
    except BaseException:
        sys.stdout.write(nodes.logs())
        raise
    finally:
        for node in nodes.started:
            for pid in node.family():
                with_no_fuss(pid)
            node.process.wait()


def recipe(folder: Path, epochs: int = 60, **recipe: Any) -> dict[str, Any]:
    """A recipe: two classes by two numbers, 120 rows."""
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=120), draw.normal(size=120)
    pl.DataFrame({"a": a, "b": b, "kind": np.where(a > b, "yes", "no")}).write_csv(folder / "data.csv")
    data = {"uri": f"file://{folder}/data.csv", "target": "kind"}
    train = {"epochs": epochs, "batchSize": 8, "optimizer": {"type": "adam"}}
    return {"data": data, "model": {"type": "mlp"}, "train": train, **recipe}


def script(folder: Path, program: str) -> dict[str, Any]:
    """A program of its own, beside job.json."""
    (folder / "train.py").write_text(textwrap.dedent(program))
    return {"command": ["train.py"]}


STEPS = 400
PROGRAM = f"""
    import os, sys, time
    import torch
    from trainyard_trainer import current_job

    job = current_job()
    job.init_process_group()
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    if job.world > 1:
        model = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    checkpoints = job.checkpointer({{"model": model, "optimizer": optimizer}})
    start = checkpoints.load()
    print("begins at", start, "of", job.world, "in attempt", os.environ["TRAINYARD_ATTEMPT"], flush=True)
    for step in range(start + 1, {STEPS} + 1):
        x = torch.randn(12, 4, generator=torch.Generator().manual_seed(step))[job.rank :: job.world]
        loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        job.log(step, steps={STEPS}, loss=loss.item())
        checkpoints.step(step, samples=12)
        time.sleep(0.02)
    if job.rank == 0:
        bare = getattr(model, "module", model)
        print("weights", [round(value, 4) for value in bare.weight[0].tolist()], flush=True)
"""


@contextmanager
def program_on(folder: Path, count: int, **spec: Any) -> Iterator[Nodes]:
    """Nodes for a program of 400 steps of 20 ms, with a checkpoint every 10."""
    settings = {"script": script(folder, PROGRAM), "checkpoint": {"everySteps": 10}, **spec}
    with nodes_of(folder, count, **settings) as nodes:
        yield nodes


def begins(node: NodeProcess) -> list[tuple[int, int]]:
    """(step, world) of every start of the program, by the first rank's lines on a node."""
    lines = [line.split() for line in node.log().splitlines() if "begins at" in line]
    return [(int(words[4]), int(words[6])) for words in lines]


def weights(node: NodeProcess) -> list[float]:
    """What the program has learnt, by node 0's lines."""
    (line,) = [line for line in node.log().splitlines() if "weights [" in line]
    found: list[float] = json.loads(line.partition("weights ")[2])
    return found
