"""The job that this process is a rank of."""

import atexit
import os
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from trainyard_api.documents import ResolvedJob
from trainyard_api.errors import TrainyardError
from trainyard_api.job import Checkpoint, Storage
from trainyard_launcher.attempts import still_ours
from trainyard_launcher.runtime import Heartbeat, StopRequest, runtime_from_environment
from trainyard_storage import Store, open_store
from trainyard_trainer.data import Decode, SplitReader
from trainyard_trainer.data.committed import read_committed
from trainyard_trainer.metrics import TrainingMetrics
from trainyard_trainer.sdk.agreement import Agreement
from trainyard_trainer.sdk.checkpoints import Checkpoints, HasState
from trainyard_trainer.sdk.log import Log


@cache
def current_job() -> "Job":
    """The job of this process, made at the first call.

    Without a launcher (`python train.py`) it has the ranks of torchrun, or one, and is kept in
    ./trainyard-runs/local/<program>.
    """
    return Job()


class Job:
    """Who this process is among the ranks, and what the job gives it."""

    def __init__(self) -> None:
        self.rank = int(os.environ.get("RANK", "0"))
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        self.device = torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
        self._resolved = _resolved_job()
        self.run = _run_store(self._resolved)
        launched = runtime_from_environment()
        self._runtime = launched or _local_folder() / "runtime"
        self._runtime.mkdir(parents=True, exist_ok=True)
        self._metrics = TrainingMetrics()
        if launched or "TRAINYARD_METRICS_PORT" in os.environ:
            self._metrics.serve(runtime=self._runtime)
        self._log = Log(self.run, self._runtime, self._metrics, self.rank)
        self._heart = Heartbeat(self._runtime, self.rank)
        self._stop: StopRequest | None = None
        self._agreement = Agreement()
        self._last_beat: float | None = None
        atexit.register(self._log.close)

    def init_process_group(self) -> None:
        """Join the other ranks: nccl on GPUs, gloo on CPUs. Does nothing where there is one rank."""
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.world > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
            atexit.register(_leave_process_group)

    def data(
        self, split: str, *, batch_size: int, seed: int = 0, shuffle: bool = True, decode: Decode | None = None
    ) -> SplitReader:
        """The samples of `split` (train, validation, test) of script.data, for this rank.

        `for batch in reader.epoch(n)` gives batches with numpy arrays in batch.fields; `batch_size` is global.
        `decode(field, bytes)` turns fields of bytes (an image in a tar) into arrays; a sample for which it raises is
        bad: it gets weight 0. Raises TrainyardError if the job has no script.data, or runs outside a launcher.
        """
        found = read_committed(self.run)
        script = self._resolved.spec.script if self._resolved else None
        if found is None or script is None or script.data is None:
            raise TrainyardError(
                "This job has no data of its own.",
                "spec.script.data",
                "Name the data there, and start the program with `trainyard run`.",
                cause="NotPrepared",
            )
        self._metrics.left_out = found.left_out()
        return SplitReader(
            found.data,
            found.manifest,
            split,
            batch_size=batch_size,
            seed=seed,
            rank=self.rank,
            world=self.world,
            shuffle=shuffle,
            decode=decode,
            max_bad_share=script.data.max_bad_share,
            storage=self._resolved.spec.storage if self._resolved else None,
        )

    def checkpointer(self, state: dict[str, HasState]) -> Checkpoints:
        """Checkpoints of `state`: names and objects with state_dict and load_state_dict.

        Collective: every rank calls it, after init_process_group. From now on SIGTERM and Ctrl-C no longer end the
        program: `checkpoints.step` does, after saving.
        """
        self._stop = self._stop or StopRequest()
        settings = self._resolved.spec.checkpoint if self._resolved else Checkpoint()
        return Checkpoints(self, state, settings, self._runtime, self._metrics, self._log, self._heart)

    def stop_requested(self, due: bool = False) -> tuple[bool, bool]:
        """Whether the program should save and end, and whether any rank said `due`: agreed on by all ranks.

        Collective: every rank calls it once per step. The answer is that of the step before, so nobody waits for it.
        """
        wished = self._stop is not None and self._stop.requested()
        stop, any_due = self._agreement.over_ranks([wished, due])
        return stop, any_due

    @property
    def stop_signal(self) -> int | None:
        """Number of the signal that asked this rank to stop, if any."""
        return self._stop.signal if self._stop else None

    def restart_clock(self) -> None:
        """Time the next step from here on."""
        self._last_beat = time.perf_counter()

    def beat(self, step: int, *, samples: int = 0, data_wait: float = 0.0) -> None:
        """Say that optimiser step `step` is done, with `samples` over all ranks. `Checkpoints.step` calls it."""
        now = time.perf_counter()
        if self._last_beat is not None:
            self._metrics.record_step(step, now - self._last_beat, data_wait, samples)
        self._last_beat = now
        self._heart.beat(step)
        self._log.count(samples)

    def log(self, step: int, epoch: int | None = None, *, steps: int = 0, epochs: int = 0, **metrics: float) -> None:
        """Write metrics to history.jsonl, /metrics and the progress that people see. Rank 0's call counts.

        `steps` and `epochs`: how many there are in all, for the time left; after the last step no heartbeat is expected
        any more. `loss` is the one shown.
        """
        self._log.write(step, epoch, steps, epochs, metrics)
        if steps and step >= steps:
            self._heart.rest()

    def export(self, network: torch.nn.Module, example: torch.Tensor, *, formats: tuple[str, ...] = ()) -> str | None:
        """Publish `network` under model/<version>/, where its URI is returned; None on ranks other than 0.

        `example` is one input [batch, ...] of at least 2 rows; the first axis stays free. `formats`: of safetensors,
        torch, onnx; absent: all. Raises TrainyardError if the network can't be exported, or answers differ.
        """
        export_network = _exporter()
        if self.rank != 0:
            return None
        self._heart.rest()
        name = self._resolved.name if self._resolved else Path(sys.argv[0]).stem or "model"
        wanted = formats or ("safetensors", "torch", "onnx")
        published = export_network(network, {"input": example}, self.run.child("model"), name, wanted)
        still_ours(self.run)
        self.run.put_json("PUBLISHED.json", {**published, "metrics": {}})
        return str(published["uri"])


def _exporter() -> Callable[..., dict[str, Any]]:
    try:
        from trainyard_trainer.export import export_network  # onnx and its runtime, which only this needs
    except ModuleNotFoundError as error:
        raise TrainyardError(
            f"The model can't be exported: this image has no {error.name}.",
            "job.export",
            "Install onnx, onnxscript and onnxruntime in the image, or let Trainyard's own image run the program.",
            cause="ImageUnsuitable",
        ) from error
    return export_network


def _resolved_job() -> ResolvedJob | None:
    path = os.environ.get("TRAINYARD_JOB")
    return ResolvedJob.model_validate_json(Path(path).read_bytes()) if path else None


def _run_store(job: ResolvedJob | None) -> Store:
    storage = job.spec.storage if job else Storage()
    return open_store(os.environ.get("TRAINYARD_RUN") or str(_local_folder()), storage)


def _local_folder() -> Path:
    return Path("trainyard-runs", "local", Path(sys.argv[0]).stem or "interactive").absolute()


def _leave_process_group() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
