"""The training loop against a bare DDP loop in plain torch, on the same in-memory data, in two processes.

Ours runs as the product does: reader, metrics, heartbeats, progress, sync points, and a checkpoint every 100 steps. The
rival is what one would write by hand: a permutation, index_select, forward, backward, step. Both train the same network
with AdamW, batch 256, in the same two processes, in alternating rounds; of each the median over rounds of the time per
step is printed. The rival has the fused optimiser, as ours has: torch's default would flatter us.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.training import write_prepared
from trainyard_api.job import Checkpoint
from trainyard_api.recipe import Recipe
from trainyard_launcher.ports import free_port
from trainyard_launcher.runtime import Heartbeat
from trainyard_storage import Store, open_store
from trainyard_trainer.checkpoint import Checkpointer
from trainyard_trainer.data import SplitReader
from trainyard_trainer.metrics import TrainingMetrics
from trainyard_trainer.models import build_network
from trainyard_trainer.train.build import first_state, prepared_data
from trainyard_trainer.train.evaluation import Judge
from trainyard_trainer.train.loop import Trainer
from trainyard_trainer.train.ranks import Ranks, joined_ranks
from trainyard_trainer.train.reporting import Reporter, StopSignals
from trainyard_trainer.train.schedule import learning_rate
from trainyard_trainer.train.stage import prefer_determinism

WORLD, BATCH, BATCHES = 2, 256, 50
MODELS = {
    "mlp": {"type": "mlp", "hidden": [1024, 1024]},
    "cnn": {"type": "cnn", "channels": [16, 32], "hidden": [64]},
}


def data_of(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Random samples: 784 numbers, or 8x8 bytes."""
    draw = np.random.default_rng(0)
    rows = BATCH * BATCHES
    labels = draw.integers(0, 10, rows)
    labels[:10] = range(10)
    if name == "mlp":
        return draw.normal(size=(rows, 784)).astype(np.float32), labels
    return draw.integers(0, 17, (rows, 8, 8)).astype(np.uint8), labels


class Bare:
    """The rival: an epoch of it."""

    def __init__(self, run: Store, recipe: Recipe, ranks: Ranks) -> None:
        prepared, plan = prepared_data(run)
        data, manifest = prepared.data, prepared.manifest
        torch.manual_seed(0)
        self.model = DistributedDataParallel(build_network(plan, recipe.model, manifest))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.001, fused=True)
        batches = list(SplitReader(data, manifest, "train", batch_size=BATCH, seed=0, shuffle=False).epoch(0))
        self.features = torch.from_numpy(np.concatenate([batch.fields["features"] for batch in batches]))
        self.labels = torch.from_numpy(np.concatenate([batch.fields["label"] for batch in batches]))
        self.loss = nn.CrossEntropyLoss()
        self.ranks = ranks
        self.epoch = 0

    def __call__(self) -> None:
        self.epoch += 1
        order = torch.randperm(len(self.labels), generator=torch.Generator().manual_seed(self.epoch))
        own = BATCH // self.ranks.world
        for batch in range(BATCHES):
            start = batch * BATCH + self.ranks.rank * own
            rows = order[start : start + own]
            features, labels = self.features.index_select(0, rows), self.labels.index_select(0, rows)
            self.optimizer.zero_grad()
            self.loss(self.model(features), labels).backward()
            self.optimizer.step()


class Ours:
    """The product's loop: one epoch of it, without validation, which the rival has none of either."""

    def __init__(self, run: Store, recipe: Recipe, ranks: Ranks, folder: Path) -> None:
        prepared, plan = prepared_data(run)
        data, manifest = prepared.data, prepared.manifest
        reader = SplitReader(data, manifest, "train", batch_size=BATCH, seed=0, rank=ranks.rank, world=ranks.world)
        self.steps = reader.batches_per_epoch
        state = first_state(recipe, manifest, plan, ranks, None)
        heart, metrics, signals = Heartbeat(folder, ranks.rank), TrainingMetrics(), StopSignals()
        metrics.serve(0)
        self.trainer = Trainer(
            settings=recipe.train,
            every=Checkpoint.model_validate({"everySteps": 100}),
            run_store=run,
            reader=reader,
            validation=None,
            validation_metrics=[],
            state=state,
            rate=learning_rate(recipe.train.schedule, 0.001, steps=10**6, steps_per_epoch=self.steps),
            judge=Judge(state.network, plan, recipe.train, ranks, heart, signals),
            checkpointer=Checkpointer(
                run.child("checkpoints"),
                rank=ranks.rank,
                world=ranks.world,
                keep=1,
                attempt=1,
                staging=folder,
                broadcast=ranks.broadcast,
            ),
            heart=heart,
            reporter=Reporter(folder, metrics, rank=ranks.rank, epochs=10**4, steps=10**6),
            signals=signals,
        )

    def __call__(self) -> None:
        self.trainer.train_epoch()
        self.trainer.finish_epoch()


def rank_main(rank: int, port: int, name: str, rounds: int, folder: Path) -> None:
    """One of the two processes: alternate, and let rank 0 print."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(WORLD), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    prefer_determinism()
    run = open_store(str(folder / "run"))
    recipe = Recipe.model_validate({"data": {"uri": "x"}, "model": MODELS[name], "train": {"batchSize": BATCH}})
    with joined_ranks() as ranks:
        rivals = {"ours": Ours(run, recipe, ranks, folder), "bare": Bare(run, recipe, ranks)}
        times: dict[str, list[float]] = {"ours": [], "bare": []}
        for number in range(rounds + 1):
            for who in ("ours", "bare") if number % 2 else ("bare", "ours"):
                torch.distributed.barrier()
                began = time.perf_counter()
                rivals[who]()
                torch.distributed.barrier()
                if number:
                    times[who].append((time.perf_counter() - began) / BATCHES * 1e3)
    if rank == 0:
        ours, bare = (statistics.median(times[who]) for who in ("ours", "bare"))
        ratio = statistics.median(a / b for a, b in zip(times["ours"], times["bare"], strict=True))
        print(f"{name}: ours {ours:.3f} ms per step, bare DDP loop {bare:.3f} ms, {rounds} rounds of {BATCHES} steps")
        print(f"ratio loop {name}: {ratio:.2f} (target <= 1.05)", flush=True)


def main() -> None:
    """Both models, one after another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", choices=list(MODELS))
    asked = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for name in [asked.only] if asked.only else MODELS:
        with tempfile.TemporaryDirectory() as folder:
            write_prepared(open_store(f"{folder}/run"), *data_of(name), shards=8, held_back=0.0)
            start = partial(context.Process, target=rank_main)
            arguments = (free_port(), name, asked.rounds, Path(folder))
            ranks = [start(args=(rank, *arguments)) for rank in range(WORLD)]
            for rank in ranks:
                rank.start()
            for rank in ranks:
                rank.join()
            if any(rank.exitcode for rank in ranks):
                sys.exit(f"{name}: a rank failed")


if __name__ == "__main__":
    main()
