"""Runs ready to be published: data really prepared, and a network as it would stand after training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from safetensors.torch import save

from trainyard_api.documents import DatasetManifest, Plan, ResolvedJob
from trainyard_api.job import JobSpec
from trainyard_storage import Store, digest, open_store
from trainyard_trainer.models import build_network
from trainyard_trainer.prepare.stage import prepare

ROWS = 240


def mixed_table(seed: int = 0, rows: int = ROWS) -> pl.DataFrame:
    """Numbers with gaps, two text columns (one with gaps, one with rare values), a class and a number to predict."""
    rng = np.random.default_rng(seed)
    age = rng.normal(40, 12, rows)
    colour = rng.choice(["red", "green", "blue"], rows).astype(object)
    colour[::11] = None
    score = age * 2 + (colour == "red") * 30 + rng.normal(size=rows)
    age[::7] = np.nan
    return pl.DataFrame(
        {
            "age of owner": age,
            "colour": pl.Series(colour.tolist(), dtype=pl.String),
            "weight": rng.lognormal(3, 1, rows),
            "label": rng.choice(["a", "b", "c", "d"], rows, p=[0.5, 0.3, 0.15, 0.05]),
            "score": score + 1000,
            "kind": np.where(score > np.median(score), "high", "low"),
        }
    )


def image_table(rows: int = 90) -> pl.DataFrame:
    """Images of 6x6 bytes with three classes."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, size=(rows, 6, 6), dtype=np.uint8)
    return pl.DataFrame(
        {"image": pl.Series(pixels, dtype=pl.Array(pl.UInt8, (6, 6))), "digit": rng.integers(0, 3, rows)}
    )


def trained_run(
    folder: Path, table: pl.DataFrame, target: str, *, storage: str | None = None, **recipe: Mapping[str, Any]
) -> tuple[ResolvedJob, Store]:
    """A run whose data is prepared and whose weights are there (random ones, from a fixed seed).

    :param recipe: prepare, model, export as in a manifest; data: what is added to uri and target
    """
    table.write_parquet(folder / "table.parquet")
    data = {"uri": f"file://{folder}/table.parquet", "target": target, **recipe.pop("data", {})}
    spec = {"storage": {"uri": storage or f"file://{folder}/runs"}, "recipe": {"data": data, **recipe}}
    job = ResolvedJob(name="example", namespace="default", uid="0", spec=JobSpec.model_validate(spec))
    run = open_store(f"{job.spec.storage.uri}/default/example/0123456789ab", job.spec.storage)
    manifest = prepare(job, run, lambda line: None)
    add_weights(job, run, manifest)
    return job, run


def add_weights(job: ResolvedJob, run: Store, manifest: DatasetManifest) -> None:
    """What the training stage leaves behind."""
    assert job.spec.recipe is not None
    plan = Plan.model_validate_json(run.get(f"data/{manifest.hash}/preparation.json"))
    torch.manual_seed(5)
    weights = save(build_network(plan, job.spec.recipe.model, manifest, folder=job.folder).state_dict())
    run.put("trained/weights.safetensors", weights)
    run.put_json("trained/TRAINED.json", {"weightsDigest": digest(weights), "step": 1})
    split = "test" if manifest.rows("test") else "train"
    sentence = "Whether the network was overfitted is not known: there is no validation split."
    evaluation = {"split": split, "rows": manifest.rows(split), "metrics": {"accuracy": 0.5}}
    run.put_json("evaluation.json", {**evaluation, "overfitting": {"verdict": "unknown", "sentence": sentence}})


def version_folder(run: Store) -> Path:
    """Local folder of the published version."""
    marker = run.get_json("PUBLISHED.json")
    assert marker is not None
    return Path(run.uri.removeprefix("file://")) / "model" / marker["version"]
