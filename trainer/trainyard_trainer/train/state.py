"""What a checkpoint holds: everything that the rest of training depends on."""

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from trainyard_trainer.checkpoint import Loaded
from trainyard_trainer.models import Network
from trainyard_trainer.train.early_stopping import BestWeights
from trainyard_trainer.train.ranks import Ranks
from trainyard_trainer.train.step import TrainStep


@dataclass
class Position:
    """How far training is, and what has been added up on the way."""

    epoch: int = 0  # epochs completed
    batch: int = 0  # batches of the current epoch done
    step: int = 0  # optimiser steps done
    loss_sum: float = 0.0  # of this rank's samples in this epoch
    samples: float = 0.0  # of all ranks in this epoch
    seconds: float = 0.0  # of training, in this and earlier processes
    epoch_seconds: float = 0.0  # the part of them that belongs to this epoch
    stopped_early: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class TrainingState:
    """The parts whose state is saved, and saving and restoring it."""

    network: Network
    step: TrainStep
    best: BestWeights | None
    position: Position
    ranks: Ranks
    seed: int

    def capture(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """State that is equal on all ranks, this rank's own, and JSON. Every rank must call it at the same step."""
        self.ranks.share_buffers(self.network)
        (loss_total,) = self.ranks.total([self.position.loss_sum])
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.step.optimizer.state_dict(),
            "scaler": self.step.scaler.state_dict(),
            "best": self.best.weights if self.best else {},
        }
        meta = vars(self.position) | {"loss_sum": loss_total, "best": self.best.state() if self.best else None}
        return state, {"loss_sum": self.position.loss_sum, "random": random_state()}, meta

    def restore(self, loaded: Loaded) -> None:
        """Go on from `loaded`. If another number of ranks saved it, dropout draws other numbers from here on."""
        meta = dict(loaded.meta)
        best = meta.pop("best")
        self.network.load_state_dict(loaded.state["network"])
        self.step.optimizer.load_state_dict(loaded.state["optimizer"])
        self.step.scaler.load_state_dict(loaded.state["scaler"])
        if self.best and best:
            self.best.load(best, loaded.state["best"])
        if loaded.rank_state is None:
            seed_rank(self.seed, self.ranks, loaded.step)
            meta["loss_sum"] = meta["loss_sum"] if self.ranks.rank == 0 else 0.0
        else:
            set_random_state(loaded.rank_state["random"])
            meta["loss_sum"] = loaded.rank_state["loss_sum"]
        for name, value in meta.items():
            setattr(self.position, name, value)


def seed_rank(seed: int, ranks: Ranks, step: int = 0) -> None:
    """Seed every generator that a network may draw from, differently on each rank."""
    mixed = np.random.SeedSequence([seed, step, ranks.rank, ranks.world])
    torch_seed, numpy_seed, python_seed = mixed.generate_state(3).tolist()
    torch.manual_seed(torch_seed)
    np.random.seed(numpy_seed)
    random.seed(python_seed)


def random_state() -> dict[str, Any]:
    """The state of torch's, numpy's and Python's global generators."""
    version, numbers, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        "numpy": np.random.get_state(),
        "python": [version, np.array(numbers, np.int64), gauss],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Set what `random_state` gave."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
    np.random.set_state(state["numpy"])
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers.tolist()), gauss))
