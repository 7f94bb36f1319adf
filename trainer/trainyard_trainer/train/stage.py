"""`python -m trainyard_trainer train`: from prepared shards to trained weights, in each rank."""

import os
import sys
import traceback
from functools import partial
from pathlib import Path

import torch

from trainyard_api.documents import Plan, ResolvedJob
from trainyard_api.errors import TrainyardError
from trainyard_api.recipe import Recipe
from trainyard_launcher.runtime import STAGING, Heartbeat, notify, write_checkpoint
from trainyard_storage import Store, open_store
from trainyard_trainer.checkpoint import Checkpointer
from trainyard_trainer.data import SplitReader
from trainyard_trainer.metrics import TrainingMetrics
from trainyard_trainer.train.build import check_sizes, first_state, prepared_data
from trainyard_trainer.train.evaluation import Judge
from trainyard_trainer.train.faults import StoppedError, explain
from trainyard_trainer.train.finish import MARKER, finish
from trainyard_trainer.train.loop import Trainer
from trainyard_trainer.train.ranks import Ranks, joined_ranks
from trainyard_trainer.train.reporting import Reporter, StopSignals
from trainyard_trainer.train.schedule import learning_rate

VALIDATION_METRICS = {"regression": ["r2", "mae"]}
CLASSIFICATION_METRICS = ["accuracy", "f1"]


def run_train() -> None:
    """Train the job of TRAINYARD_JOB in the run of TRAINYARD_RUN. Nothing to do if its marker is there.

    Raises TrainyardError; SystemExit 143 or 130 after a checkpoint, if SIGTERM or SIGINT asked for it.
    """
    job = ResolvedJob.model_validate_json(Path(os.environ["TRAINYARD_JOB"]).read_bytes())
    recipe = job.spec.recipe
    assert recipe is not None
    run = open_store(os.environ["TRAINYARD_RUN"], job.spec.storage)
    if run.get_json(MARKER) is not None:
        return
    prefer_determinism()
    stopped: StoppedError | None = None
    try:
        with joined_ranks() as ranks:
            try:
                train(job, recipe, run, ranks)
            except StoppedError as error:
                stopped = error
    except TrainyardError:
        raise
    except Exception as error:
        explained = explain(error, recipe, job.folder)
        if explained is None:
            raise
        traceback.print_exception(error)
        raise explained from error
    if stopped:
        sys.exit(stopped.code)


def train(job: ResolvedJob, recipe: Recipe, run: Store, ranks: Ranks) -> None:
    """Build what training needs, take up the latest checkpoint, train, and finish."""
    committed, plan = prepared_data(run)
    manifest = committed.manifest
    check_sizes(recipe, manifest, plan, ranks)
    runtime = Path(os.environ["TRAINYARD_RUNTIME"])
    heart = Heartbeat(runtime, ranks.rank)
    metrics = TrainingMetrics()
    metrics.left_out = committed.left_out()
    metrics.serve()
    reading = partial(SplitReader, committed.data, manifest, seed=recipe.train.seed, rank=ranks.rank, world=ranks.world)
    reader = reading("train", batch_size=recipe.train.batch_size)
    steps = recipe.train.epochs * reader.batches_per_epoch
    state = first_state(recipe, manifest, plan, ranks, job.folder)
    checkpointer = Checkpointer(
        run.child("checkpoints"),
        rank=ranks.rank,
        world=ranks.world,
        keep=job.spec.checkpoint.keep,
        attempt=int(os.environ.get("TRAINYARD_ATTEMPT", "0")),
        staging=runtime / STAGING,
        broadcast=ranks.broadcast,
        tell=partial(notify, runtime),
        newest=partial(write_checkpoint, runtime),
    )
    loaded = checkpointer.load_latest()
    if loaded:
        state.restore(loaded)
    held_back = partial(reading, batch_size=recipe.train.batch_size, shuffle=False)
    signals = StopSignals()  # from here on there is something to save; before, a signal just ends the process
    trainer = Trainer(
        settings=recipe.train,
        every=job.spec.checkpoint,
        run_store=run,
        reader=reader,
        validation=held_back("validation") if manifest.rows("validation") else None,
        validation_metrics=validation_metrics(recipe, plan),
        state=state,
        rate=learning_rate(
            recipe.train.schedule,
            recipe.train.optimizer.learning_rate,
            steps=steps,
            steps_per_epoch=reader.batches_per_epoch,
        ),
        judge=Judge(state.network, plan, recipe.train, ranks, heart, signals),
        checkpointer=checkpointer,
        heart=heart,
        reporter=Reporter(runtime, metrics, rank=ranks.rank, epochs=recipe.train.epochs, steps=steps),
        signals=signals,
    )
    trainer.run()
    split = next(name for name in ("test", "validation", "train") if manifest.rows(name))
    finish(job, run, trainer, held_back(split), split)


def validation_metrics(recipe: Recipe, plan: Plan) -> list[str]:
    """What is computed after every epoch: the main metrics of the task, and the one that stops training."""
    metrics = VALIDATION_METRICS.get(plan.target.task, CLASSIFICATION_METRICS)
    stopping = recipe.train.early_stopping
    if stopping is None or stopping.metric == "validation/loss":
        return metrics
    return list(dict.fromkeys([*metrics, stopping.metric.partition("/")[2]]))


def prefer_determinism() -> None:
    """Deterministic kernels where there are any; a warning where not. Memory isn't filled first: that costs time."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
