"""Compiling takes as long as it takes: no step is expected meanwhile."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from trainyard_api.documents import Target
from trainyard_api.recipe import Train
from trainyard_launcher.runtime import Heartbeat, read_heartbeats
from trainyard_trainer.data.batch import Batch
from trainyard_trainer.train.evaluation import Judge
from trainyard_trainer.train.ranks import Ranks


class Network(torch.nn.Module):
    """Notes which ranks are known to beat while it answers."""

    def __init__(self, runtime: Path) -> None:
        super().__init__()
        self.runtime, self.beating = runtime, []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.beating.append(list(read_heartbeats(self.runtime)))
        return x


def reader(batches: int) -> Any:
    fields = {"features": np.eye(3, dtype=np.float32), "label": np.arange(3)}
    batch = Batch(fields, np.ones(3, np.float32), 3.0, 0)
    return SimpleNamespace(epoch=lambda _: [batch] * batches)


@pytest.mark.parametrize("compiled", [True, False])
def test_only_the_first_answer_of_a_compiled_network_rests(compiled: bool, tmp_path: Path) -> None:
    network, heart = Network(tmp_path), Heartbeat(tmp_path, 0)
    plan: Any = SimpleNamespace(target=Target(name="kind", task="multiclass", classes=["a", "b", "c"]))
    signals: Any = SimpleNamespace(terminated=False, interrupted=False)
    ranks = Ranks(0, 1, torch.device("cpu"))
    judge = Judge(network, plan, Train(compile=compiled), ranks, heart, signals)
    heart.beat(7)
    assert judge(reader(2), 7)["metrics"]["accuracy"] == 1.0
    judge(reader(1), 8)
    assert network.beating == [[] if compiled else [0], [0], [0]]
    assert read_heartbeats(tmp_path)[0][0] == 8
