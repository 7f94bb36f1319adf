"""How long a checkpoint of 500 MB stops training: ours against torch.save to the same disk, in alternating rounds.

    python bench/checkpoint.py [--folder FOLDER] [--rounds N]

The state is that of 40 million float32 parameters with Adam's two moments, on each of 1 and 2 processes (DDP: every
rank holds all of it; with torch.save rank 0 writes it while the others wait). The pause is the longest of any rank's.
Every round begins with no upload under way and nothing left to be written to the disk.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from trainyard_storage import open_store
from trainyard_trainer.checkpoint import Checkpointer

TENSORS, ELEMENTS = 40, 1_050_000  # x 3 x 4 bytes: 504 MB
TARGET = 0.5


def state() -> dict[str, Any]:
    """Weights and moments."""
    return {
        kind: {f"layer{number}": torch.randn(ELEMENTS) for number in range(TENSORS)}
        for kind in ("weights", "exp_avg", "exp_avg_sq")
    }


def seconds(work: Callable[[], object]) -> float:
    """How long the slowest rank takes, all beginning together and going on together."""
    dist.barrier()
    start = time.perf_counter()
    work()
    taken = torch.tensor(time.perf_counter() - start)
    dist.all_reduce(taken, dist.ReduceOp.MAX)
    return float(taken)


def measure(rank: int, world: int, folder: str, rounds: int, results: Any) -> None:
    """One rank: alternate our save and torch.save."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous-{world}", rank=rank, world_size=world)
    held = state()

    def broadcast(value: Any) -> Any:
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    ours = Checkpointer(
        open_store(f"{folder}/checkpoints-{world}"),
        rank=rank,
        world=world,
        keep=1,
        attempt=1,
        staging=Path(folder) / f"staging-{world}",
        broadcast=broadcast,
    )
    ours.reserve(held, {})
    ours.wait()

    def torch_save() -> None:
        if rank == 0:
            torch.save(held, f"{folder}/torch.pt")
        dist.barrier()

    pauses: list[float] = []
    uploads: list[float] = []
    rivals: list[float] = []
    for step in range(rounds):
        os.sync()
        pauses.append(seconds(lambda step=step: ours.save(step, held, {}, {})))  # type: ignore[misc]
        uploads.append(seconds(ours.wait))
        os.sync()
        rivals.append(seconds(torch_save))
    if rank == 0:
        results.put((pauses, uploads, rivals))
    dist.destroy_process_group()


def main() -> None:
    """Print the medians, and the worse of both ratios last."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--folder", help="on the disk to be measured; a temporary one if absent")
    arguments.add_argument("--rounds", type=int, default=7)
    options = arguments.parse_args()
    ratios = []
    for world in (1, 2):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            results = mp.get_context("spawn").SimpleQueue()
            mp.spawn(measure, args=(world, folder, options.rounds, results), nprocs=world)
            pauses, uploads, rivals = results.get()
        pause, rival = statistics.median(pauses), statistics.median(rivals)
        ratios.append(pause / rival)
        print(
            f"{world} process(es), 504 MB: pause {pause:.3f} s (first {pauses[0]:.3f}, longest {max(pauses):.3f}), "
            f"torch.save {rival:.3f} s, ratio {pause / rival:.2f}; upload and commit {statistics.median(uploads):.2f} s"
        )
    print(f"ratio checkpoint pause: {max(ratios):.2f} (target < {TARGET})")


if __name__ == "__main__":
    main()
