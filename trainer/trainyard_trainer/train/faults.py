"""Exceptions of training as faults that name the remedy."""

import traceback
from pathlib import Path

import torch

from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_api.recipe import Recipe
from trainyard_launcher.rank import PEER_LOST, lost_peer

_NO_MEMORY = ("out of memory", "can't allocate memory", "Cannot allocate memory", "not enough memory")


class StoppedError(Exception):
    """Training was asked to stop. Ends the process with `code`, behind a checkpoint."""

    def __init__(self, code: ExitCode) -> None:
        super().__init__(f"stopped, exit code {code}")
        self.code = code


def loss_not_finite(step: int, rate: float) -> TrainyardError:
    """The loss of optimiser step `step` (from 1) turned NaN or infinite."""
    return TrainyardError(
        f"The loss turned NaN or infinite at step {step}, at learning rate {rate:g}.",
        where="spec.recipe.train.optimizer.learningRate",
        remedy="lower the learning rate, add schedule.warmupSteps, or set train.gradientClipNorm",
        cause="LossNotFinite",
    )


def explain(error: Exception, recipe: Recipe, folder: str | None) -> TrainyardError | None:
    """`error` in plain words, if it is of a kind that has a remedy; None: it speaks for itself."""
    text = str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in text for words in _NO_MEMORY):
        return TrainyardError(
            f"Out of memory with batchSize {recipe.train.batch_size}.",
            where="spec.recipe.train.batchSize",
            remedy="halve batchSize, or raise accumulationSteps: the batch is then computed in parts",
            code=ExitCode.FAILED,
            cause="OutOfMemory",
        )
    if lost_peer(error):
        return TrainyardError(
            f"Another process of this job is gone: {text.splitlines()[0]}",
            remedy="see why the other one ended, in its log; the same command goes on from the last checkpoint",
            code=ExitCode.INFRASTRUCTURE,
            cause=PEER_LOST,
        )
    if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
        return TrainyardError(
            f"The network can't be compiled: {text.splitlines()[0] if text else type(error).__name__}",
            where="spec.recipe.train.compile",
            remedy="install a C++ compiler (apt-get install g++), or set compile: false",
            cause="CompileFailed",
        )
    return _of_users_model(error, recipe, folder)


def _of_users_model(error: Exception, recipe: Recipe, folder: str | None) -> TrainyardError | None:
    """An exception from code in the manifest's folder, with the line it came from."""
    if ":" not in recipe.model.type or folder is None:
        return None
    inside = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_relative_to(folder)]
    if not inside:
        return None
    last = inside[-1]
    return TrainyardError(
        f"{recipe.model.type} raised {type(error).__name__}: {error}",
        where=f"{last.filename}:{last.lineno}: {last.line}",
        remedy="correct the model; the rank's log has the whole traceback",
        code=ExitCode.FAILED,
        cause="UserError",
    )
