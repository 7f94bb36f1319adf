"""The end of training: the test, and what the next stage starts from."""

from typing import Any

import torch
from safetensors.torch import save

from trainyard_api.documents import ResolvedJob
from trainyard_launcher.attempts import still_ours
from trainyard_storage import Store, digest
from trainyard_trainer.data import SplitReader
from trainyard_trainer.evaluate import overfitting
from trainyard_trainer.models import Network
from trainyard_trainer.train.loop import Trainer

EVALUATION = "evaluation.json"
WEIGHTS = "trained/weights.safetensors"
MARKER = "trained/TRAINED.json"


def finish(job: ResolvedJob, run: Store, trainer: Trainer, reader: SplitReader, split: str) -> None:
    """Take the best weights (with early stopping; else the last), judge them on `split`, and write all of it.

    The marker goes last: without it the stage is not done. Every rank must call it; rank 0 writes.
    """
    assert job.spec.recipe is not None
    state = trainer.state
    at, best = state.position, state.best
    if best and best.weights:
        state.network.load_state_dict(best.weights)
    result = trainer.judged(reader, job.spec.recipe.evaluate.metrics)
    trainer.heart.rest()  # the last step is done: what is left are uploads
    if state.ranks.rank != 0:
        return
    still_ours(run)
    run.put_json(EVALUATION, {"split": split, **result, "overfitting": overfitting(at.history)})
    weights = save(weights_of(state.network))
    run.put(WEIGHTS, weights)
    seen = sum(row["samplesPerSecond"] * row["seconds"] for row in at.history)
    marker: dict[str, Any] = {
        "step": at.step,
        "epoch": at.epoch,
        "bestEpoch": best.epoch if best and best.weights else at.epoch,
        "stoppedEarly": at.stopped_early,
        "seconds": round(at.seconds, 3),
        "samplesPerSecond": round(seen / max(at.seconds, 1e-9), 1),
        "world": state.ranks.world,
        "weightsDigest": digest(weights),
    }
    run.put_json(MARKER, marker)


def weights_of(network: Network) -> dict[str, torch.Tensor]:
    """Its state on the CPU, each tensor in memory of its own, as safetensors wants it."""
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in network.state_dict().items()}
