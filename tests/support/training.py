"""Prepared data and jobs for the training stage, and its ranks started straight, without torchrun.

Ranks are forked from a server that has imported torch once (multiprocessing's forkserver): a start takes 50 ms.
"""

import io
import json
import multiprocessing
import multiprocessing.connection
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from safetensors.numpy import load

from support.shards import index_parquet
from trainyard_api.documents import DatasetManifest, Fault, FieldSpec, Plan, ResolvedJob
from trainyard_launcher.ports import free_port
from trainyard_launcher.runtime import read_faults
from trainyard_storage import Store, open_store
from trainyard_trainer.data.index import sealed

_CONTEXT = multiprocessing.get_context("forkserver")
# torch imports the second when its first optimiser runs.
_CONTEXT.set_forkserver_preload(["trainyard_trainer.train.stage", "torch._dynamo"])

POLARS = {"float32": pl.Float32, "uint8": pl.UInt8, "int64": pl.Int64}


def table(rows: int = 200, width: int = 6, classes: int = 3, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Features [rows, width] and class labels that a small network can learn; the last axis of numbers is noise."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes, rows)
    centres = draw.normal(size=(classes, width)) * 1.5
    return (centres[labels] + draw.normal(size=(rows, width))).astype(np.float32), labels.astype(np.int64)


def write_prepared(
    run: Store, features: np.ndarray, labels: np.ndarray, *, shards: int = 5, held_back: float = 0.2
) -> DatasetManifest:
    """What the preparation stage leaves: shards of the three splits, manifest and plan (regression: float labels)."""
    rows, store = len(labels), run.child("unnamed")
    aside = int(rows * held_back)
    bounds = {"train": (2 * aside, rows), "validation": (0, aside), "test": (aside, 2 * aside)}
    splits = {}
    for split, (begin, end) in bounds.items():
        keys = []
        pieces = np.array_split(np.arange(begin, end), shards if split == "train" else 1) if end > begin else []
        for number, piece in enumerate(pieces):
            keys.append(f"{split}/part-{number:05d}.parquet")
            store.put(keys[-1], _parquet(features[piece], labels[piece]))
        splits[split] = index_parquet(store, keys)
    fields = {
        "features": FieldSpec(dtype=features.dtype.name, shape=list(features.shape[1:])),
        "label": FieldSpec(dtype=labels.dtype.name),
    }
    manifest = sealed(DatasetManifest(format="parquet", fields=fields, splits=splits, hash=""))
    store.put("manifest.json", manifest.model_dump_json().encode())
    store.put("preparation.json", plan_of(features, labels).model_dump_json().encode())
    written = [info.key for info in store.list()]
    for key in written:  # the folder's name is the hash, which the shards decide
        run.put(f"data/{manifest.hash}/{key}", store.get(key))
    store.delete(written)
    run.put_json("data/COMMITTED", {"hash": manifest.hash})
    return manifest


def plan_of(features: np.ndarray, labels: np.ndarray) -> Plan:
    """A plan that fits: numeric columns, or one tensor [H, W] scaled to [0, 1]."""
    regression = labels.dtype.kind == "f"
    classes = [] if regression else [str(k) for k in range(int(labels.max()) + 1)]
    task = "regression" if regression else "binary" if len(classes) == 2 else "multiclass"
    if features.ndim == 2:
        names = [f"x{i}" for i in range(features.shape[1])]
        inputs: list[dict[str, Any]] = [{"name": name, "kind": "numeric"} for name in names]
        steps: list[dict[str, Any]] = []
    else:
        names = []
        shape = list(features.shape[1:])
        inputs = [{"name": "image", "kind": "tensor", "dtype": features.dtype.name, "shape": shape, "layout": "HW"}]
        steps = [{"op": "scale_tensor", "column": "image", "offset": 0.0, "factor": 16.0}]
    target = {"name": "y", "task": task, "classes": classes}
    return Plan.model_validate({"inputs": inputs, "steps": steps, "features": names, "target": target})


def _parquet(features: np.ndarray, labels: np.ndarray) -> bytes:
    shape = features.shape[1:]
    dtype = pl.Array(POLARS[features.dtype.name], shape[0] if len(shape) == 1 else shape)
    stream = io.BytesIO()
    columns = [pl.Series("features", features, dtype=dtype), pl.Series("label", labels)]
    pl.DataFrame(columns).write_parquet(stream)
    return stream.getvalue()


@dataclass
class TrainingRun:
    """One run in a folder: prepared data, and the training stage started on it as often as one likes."""

    folder: Path
    model: dict[str, Any] = field(default_factory=lambda: {"hidden": [16]})
    train: dict[str, Any] = field(default_factory=dict)
    checkpoint: dict[str, Any] = field(default_factory=dict)
    evaluate: dict[str, Any] = field(default_factory=dict)
    attempts: int = 0
    uri: str | None = None  # of the run, if it isn't a folder beside the rest
    environment: dict[str, str] = field(default_factory=dict)  # of the ranks, beside ours

    @property
    def store(self) -> Store:
        """The run's folder in object storage."""
        return open_store(self.uri or str(self.folder / "run"))

    @property
    def runtime(self) -> Path:
        """The runtime folder."""
        return self.folder / "runtime"

    def prepare(self, features: np.ndarray, labels: np.ndarray, **how: Any) -> "TrainingRun":
        """Write prepared data."""
        write_prepared(self.store, features, labels, **how)
        return self

    def start(self, world: int = 1) -> "Ranks":
        """Start the stage's ranks."""
        self.runtime.mkdir(parents=True, exist_ok=True)
        for stale in self.runtime.glob("fault-*"):
            stale.unlink()
        self.attempts += 1
        recipe = {"data": {"uri": "x"}, "model": self.model, "train": self.train, "evaluate": self.evaluate}
        spec = {"recipe": recipe, "checkpoint": self.checkpoint}
        job = {"name": "test", "namespace": "default", "uid": "0", "spec": spec, "folder": str(self.folder)}
        path = self.folder / "job.json"
        path.write_text(ResolvedJob.model_validate(job).model_dump_json())
        environment = {
            "TRAINYARD_JOB": str(path),
            "TRAINYARD_RUN": self.uri or str(self.folder / "run"),
            "TRAINYARD_RUNTIME": str(self.runtime),
            "TRAINYARD_ATTEMPT": str(self.attempts),
            "TRAINYARD_METRICS_PORT": "0",
            **self.environment,
            "WORLD_SIZE": str(world),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free_port()),
            "OMP_NUM_THREADS": "1",
        }
        return Ranks(self, [_start(rank, environment, self.folder / f"rank-{rank}.log") for rank in range(world)])

    def run(self, world: int = 1) -> "TrainingRun":
        """Start the ranks and see them end well."""
        assert self.start(world).codes() == [0] * world, self.log()
        return self

    def log(self) -> str:
        """What the ranks wrote, for a failed test."""
        return "\n".join(path.read_text()[-3000:] for path in sorted(self.folder.glob("rank-*.log")))

    def faults(self) -> list[Fault]:
        """Faults of the last start."""
        return read_faults(self.runtime)

    def weights(self) -> dict[str, np.ndarray]:
        """The trained weights."""
        return load(self.store.get("trained/weights.safetensors"))

    def history(self) -> list[dict[str, Any]]:
        """The lines of history.jsonl, without what depends on the clock."""
        lines = [json.loads(line) for line in self.store.get("history.jsonl").splitlines()]
        return [{k: v for k, v in line.items() if k not in ("time", "seconds", "samplesPerSecond")} for line in lines]


@dataclass
class Ranks:
    """The processes of one start."""

    of: TrainingRun
    processes: list[ForkServerProcess]

    def codes(self, seconds: float = 60) -> list[int | None]:
        """Exit codes, once all have ended; those that don't are killed."""
        for process in self.processes:
            process.join(seconds)
        if any(process.exitcode is None for process in self.processes):
            self.kill()
            raise AssertionError(f"ranks hang\n{self.of.log()}")
        return [process.exitcode for process in self.processes]

    def until(self, condition: Callable[[], bool], seconds: float = 60) -> bool:
        """Wait for `condition`: True when it holds, False if the ranks ended before."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return True
            if multiprocessing.connection.wait([p.sentinel for p in self.processes], timeout=0.0005):
                return condition()
        raise AssertionError(f"it never came to pass\n{self.of.log()}")

    def kill(self, rank: int | None = None) -> None:
        """SIGKILL one rank, or all, and wait until all have ended."""
        for process in self.processes if rank is None else [self.processes[rank]]:
            process.kill()
        for process in self.processes:
            process.join(60)


def _start(rank: int, environment: dict[str, str], log: Path) -> ForkServerProcess:
    process = _CONTEXT.Process(target=_rank, args=(environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)}, log))
    process.start()
    return process


def _rank(environment: dict[str, str], log: Path) -> None:
    from trainyard_launcher.rank import guarded
    from trainyard_trainer.train.stage import run_train

    os.environ.update(environment)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", 1), os.fdopen(2, "w", 1)
    sys.exit(guarded(run_train, cause="ProgramError"))
