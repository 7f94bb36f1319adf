"""A process that saves checkpoints until it is killed."""

from multiprocessing.connection import Connection
from pathlib import Path

import torch

from trainyard_storage import open_store
from trainyard_trainer.checkpoint import Checkpointer


def save_until_killed(folder: str, attempt: int, reports: Connection) -> None:
    """Go on from the newest checkpoint in `folder`, and report each step as it is saved; first what was loaded.

    Every element of the state is the number of the step: a mixture of two checkpoints shows.
    """
    torch.set_num_threads(1)
    checkpointer = Checkpointer(
        open_store(f"{folder}/checkpoints"), rank=0, world=1, keep=2, attempt=attempt, staging=Path(folder) / "staging"
    )
    loaded = checkpointer.load_latest()
    step = loaded.step if loaded else 0
    if loaded:
        assert all(bool((tensor == step).all()) for tensor in loaded.state), "a mixture was loaded"
        assert loaded.rank_state == loaded.meta == {"step": step}
    reports.send((step, loaded.skipped if loaded else []))
    while True:
        step += 1
        checkpointer.save(step, [torch.full((250_000,), step) for _ in range(4)], {"step": step}, {"step": step})
        reports.send((step, []))
