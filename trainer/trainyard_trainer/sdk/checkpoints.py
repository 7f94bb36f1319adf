"""Checkpoints of any objects that have a state_dict."""

import atexit
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch.nn.parallel import DistributedDataParallel

from trainyard_api.errors import ExitCode
from trainyard_api.job import Checkpoint
from trainyard_launcher.rank import guarded
from trainyard_launcher.runtime import STAGING, Heartbeat, write_checkpoint
from trainyard_trainer.checkpoint import Checkpointer
from trainyard_trainer.metrics import TrainingMetrics
from trainyard_trainer.sdk.agreement import broadcast
from trainyard_trainer.sdk.log import Log

if TYPE_CHECKING:
    from trainyard_trainer.sdk.job import Job

_DEFAULT_SECONDS = 600


class HasState(Protocol):
    """A network, an optimiser, a schedule, or anything that can give and take its state."""

    def state_dict(self) -> dict[str, Any]:
        """The state: nested dicts, lists, tensors, numbers and text."""

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Take up what state_dict gave."""


class Checkpoints:
    """Saves the state of a program as spec.checkpoint says, and when the job is told to stop.

    Random numbers of torch are saved too, per rank. The state has to be the same on every rank, as with DDP; a network
    wrapped by DDP is saved without the wrapper, so that it can go on with another number of ranks.
    """

    def __init__(
        self,
        job: "Job",
        state: dict[str, HasState],
        settings: Checkpoint,
        runtime: Path,
        metrics: TrainingMetrics,
        log: Log,
        heart: Heartbeat,
    ) -> None:
        self._job = job
        self._heart = heart
        self._state = state
        self._metrics = metrics
        self._log = log
        self._every_steps = settings.every_steps
        self._every_seconds = settings.every_seconds or (None if settings.every_steps else _DEFAULT_SECONDS)
        self._last = time.monotonic()
        self._checkpointer = Checkpointer(
            job.run.child("checkpoints"),
            rank=job.rank,
            world=job.world,
            keep=settings.keep,
            attempt=int(os.environ.get("TRAINYARD_ATTEMPT", "0")),
            staging=runtime / STAGING,
            broadcast=broadcast,
            newest=partial(write_checkpoint, runtime),
        )
        atexit.register(self._finish)

    def load(self) -> int:
        """Take up the newest checkpoint. Returns its step; 0 if there is none. Collective."""
        loaded = self._checkpointer.load_latest()
        self._job.restart_clock()
        if loaded is None:
            return 0
        for name, item in self._state.items():
            _bare(item).load_state_dict(loaded.state[name])
        if loaded.rank_state is not None:
            torch.set_rng_state(loaded.rank_state["cpu"])
            if self._job.device.type == "cuda":
                torch.cuda.set_rng_state(loaded.rank_state["cuda"], self._job.device)
        self._log.rewind(loaded.step)
        return loaded.step

    def save(self, step: int) -> None:
        """Save the state as of optimiser step `step`; every rank does. Returns when it is staged in memory."""
        began = time.monotonic()
        rank_state = {"cpu": torch.get_rng_state()}
        if self._job.device.type == "cuda":
            rank_state["cuda"] = torch.cuda.get_rng_state(self._job.device)
        state = {name: _bare(item).state_dict() for name, item in self._state.items()}
        with self._heart.resting():  # the one before may still be on its way to a slow storage
            self._checkpointer.save(step, state, rank_state, {"step": step})
        self._last = time.monotonic()
        self._metrics.record_checkpoint(self._last - began)

    def step(self, step: int, *, samples: int = 0) -> None:
        """Call after every optimiser step, on every rank; `samples` is what all ranks trained on in it.

        Sends the heartbeat and saves when it is due. If the job was told to stop: saves, waits until that is
        committed, and ends the program with SystemExit, which the launcher understands.
        """
        self._job.beat(step, samples=samples)
        stop, due = self._job.stop_requested(self._due_by_time())
        if stop or due or (self._every_steps is not None and step % self._every_steps == 0):
            self.save(step)
        if stop:
            self.wait()
            sys.exit(ExitCode.INTERRUPTED if self._job.stop_signal == signal.SIGINT else ExitCode.TERMINATED)

    def wait(self) -> None:
        """Return when everything saved is in storage; raises what went wrong with it."""
        with self._heart.resting():
            self._checkpointer.wait()

    def _finish(self) -> None:
        """The program's end waits for its last checkpoint. Where that fails the process does: Python itself only
        prints what is raised so late, and the run would count as finished."""
        if code := guarded(self.wait, cause="ProgramError"):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _due_by_time(self) -> bool:
        seconds = self._every_seconds
        return seconds is not None and self._job.rank == 0 and time.monotonic() - self._last >= seconds


def _bare(item: HasState) -> HasState:
    return item.module if isinstance(item, DistributedDataParallel) else item
