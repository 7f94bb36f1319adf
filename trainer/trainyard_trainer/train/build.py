"""What training starts from: prepared data, sizes that fit, and the state before the first step."""

import torch

from trainyard_api.documents import DatasetManifest, Plan
from trainyard_api.errors import TrainyardError
from trainyard_api.recipe import Recipe
from trainyard_storage import Store
from trainyard_trainer.data import Batch
from trainyard_trainer.data.committed import Committed, read_committed
from trainyard_trainer.evaluate import check_metrics
from trainyard_trainer.models import Network, build_network
from trainyard_trainer.train.early_stopping import BestWeights
from trainyard_trainer.train.faults import explain
from trainyard_trainer.train.optimizer import build_optimizer
from trainyard_trainer.train.ranks import Ranks
from trainyard_trainer.train.rehearsal import blank_batch, rehearse, try_out
from trainyard_trainer.train.state import Position, TrainingState, seed_rank
from trainyard_trainer.train.step import TrainStep


def prepared_data(run: Store) -> tuple[Committed, Plan]:
    """The prepared data, and how it was made."""
    found = read_committed(run)
    if found is None:
        raise TrainyardError(
            "The data of this run isn't prepared.", where=run.uri, remedy="run the prepare stage", cause="NotPrepared"
        )
    return found, Plan.model_validate_json(found.document("preparation.json"))


def check_sizes(recipe: Recipe, manifest: DatasetManifest, plan: Plan, ranks: Ranks) -> None:
    """Refuse what can't be trained, before anything is built."""
    rows, batch = manifest.rows("train"), recipe.train.batch_size
    if rows < ranks.world or batch < ranks.world:
        what = f"{rows} training samples" if rows < ranks.world else f"a batchSize of {batch}"
        raise TrainyardError(
            f"There are {ranks.world} processes, more than {what} can keep busy.",
            where="spec.nodes x spec.processesPerNode" if rows < ranks.world else "spec.recipe.train.batchSize",
            remedy=f"use at most {max(1, min(rows, batch))} processes",
            cause="TooManyProcesses",
        )
    stopping = recipe.train.early_stopping
    if stopping is None:
        return
    where = "spec.recipe.train.earlyStopping.metric"
    if not manifest.rows("validation"):
        raise TrainyardError(
            "Early stopping needs a validation split, and there is none.",
            where=where,
            remedy="set spec.recipe.data.split.validation above 0, or leave earlyStopping out",
        )
    if stopping.metric != "validation/loss":
        check_metrics([stopping.metric.partition("/")[2]], plan.target.task, where)


def first_state(
    recipe: Recipe, manifest: DatasetManifest, plan: Plan, ranks: Ranks, folder: str | None
) -> TrainingState:
    """The state before the first step, which a checkpoint may replace. Rehearses a step before that."""
    settings = recipe.train
    torch.manual_seed(settings.seed)
    network = build_network(plan, recipe.model, manifest, folder=folder).to(ranks.device)
    if settings.compile:
        network.compile()
    batch = blank_batch(manifest, settings.batch_size, ranks)
    idle = _tried(network, batch, recipe, folder)
    optimizer = build_optimizer(settings.optimizer, network.parameters())
    model = ranks.parallel(network, unused_parameters=idle)
    step = TrainStep(model, optimizer, settings, plan.target.task, ranks)
    rehearse(network, step, batch)
    seed_rank(settings.seed, ranks)
    best = BestWeights(settings.early_stopping) if settings.early_stopping else None
    return TrainingState(network, step, best, Position(), ranks, settings.seed)


def _tried(network: Network, batch: Batch, recipe: Recipe, folder: str | None) -> bool:
    """Try the network out; whatever it raises becomes one plain message."""
    try:
        return try_out(network, batch, recipe.train, recipe.model.type)
    except TrainyardError:
        raise
    except Exception as error:
        explained = explain(error, recipe, folder)
        if explained:
            raise explained from error
        shape = list(batch.fields["features"].shape)
        raise TrainyardError(
            f"The model {recipe.model.type} fails on a batch of shape {shape}: {error}",
            where="spec.recipe.model",
            remedy="let it accept such a batch; batch normalisation needs at least 2 samples in each process",
            cause="InvalidModel",
        ) from error
