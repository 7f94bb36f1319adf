"""A stop request that comes while the network is judged: it isn't put off until that is over."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from support.training import TrainingRun, table

MODEL = """
import time
from pathlib import Path
from torch import nn

class Patient(nn.Module):
    def __init__(self, input_shape, outputs, *, folder, waits_at):
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(input_shape[0], 8), nn.Dropout(0.2), nn.Linear(8, outputs))
        self.folder, self.waits_at, self.judged = Path(folder), waits_at, 0

    def forward(self, x):
        self.judged += not self.training
        if self.judged == self.waits_at:
            (self.folder / "judging").touch()
            while (self.folder / "wait").exists():
                time.sleep(0.01)
        return self.layer(x)
"""


def new_run(folder: Path, waits_at: int) -> TrainingRun:
    folder.mkdir()
    (folder / "model.py").write_text(MODEL)
    model = {"type": "model:Patient", "args": {"folder": str(folder), "waits_at": waits_at}}
    stopping = {"metric": "validation/loss", "patience": 5}
    train = {"epochs": 2, "batchSize": 12, "earlyStopping": stopping}
    return TrainingRun(folder, model=model, train=train).prepare(*table())


@pytest.mark.parametrize(("waits_at", "epochs"), [(1, 0), (4 + 1, 1), (4 + 4 + 1, 2)])
def test_it_saves_stops_and_is_judged_again(waits_at: int, epochs: int, tmp_path: Path) -> None:
    """Validation has 4 batches, and so has the test that follows the last epoch."""
    run = new_run(tmp_path / "stopped", waits_at)
    (run.folder / "wait").touch()
    ranks = run.start(2)
    assert ranks.until((run.folder / "judging").exists)
    os.kill(ranks.processes[1].pid or 0, signal.SIGTERM)
    (run.folder / "wait").unlink()
    assert ranks.codes() == [143, 143], run.log()
    (saved,) = run.folder.glob("run/checkpoints/step-*/*/COMMITTED")
    assert saved.parent.parent.name == f"step-{10 * min(2, epochs + 1):08d}"
    assert run.store.get_json("evaluation.json") is None
    undisturbed = new_run(tmp_path / "undisturbed", 0).run(2)
    mine, theirs = run.run(2).weights(), undisturbed.weights()
    assert all(np.array_equal(mine[name], theirs[name]) for name in theirs)
    assert run.history() == undisturbed.history()
    assert len(run.history()) == 2
