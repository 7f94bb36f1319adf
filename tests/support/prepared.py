"""Running the preparation stage on small data, and reading back what it wrote."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trainyard_api.documents import DataCard, DatasetManifest, Plan, ResolvedJob
from trainyard_storage import Store, open_store
from trainyard_trainer.prepare import prepare


class Result:
    """A finished run of the stage."""

    def __init__(self, run: Store, manifest: DatasetManifest) -> None:
        self.run, self.manifest = run, manifest
        self.data = run.child(f"data/{manifest.hash}")

    @property
    def plan(self) -> Plan:
        return Plan.model_validate(self.data.get_json("preparation.json"))

    @property
    def card(self) -> DataCard:
        return DataCard.model_validate(self.data.get_json("card.json"))

    def frame(self, split: str) -> pl.DataFrame:
        """All rows of one split, or of raw/test."""
        keys = [info.key for info in self.data.list(f"{split}/")]
        return pl.concat([pl.read_parquet(io.BytesIO(self.data.get(key))) for key in keys])

    def features(self, split: str) -> np.ndarray[Any, Any]:
        column, spec = self.frame(split)["features"], self.manifest.fields["features"]
        return as_arrays(column, spec.dtype, spec.shape) if column.dtype == pl.Binary else column.to_numpy()

    def labels(self, split: str) -> list[Any]:
        return self.frame(split)["label"].to_list()

    def contents(self) -> dict[str, bytes]:
        """Every file of the data set."""
        return {info.key: self.data.get(info.key) for info in self.data.list()}


def as_arrays(column: pl.Series, dtype: str, shape: list[int]) -> np.ndarray[Any, Any]:
    """Tensors as shards hold them: the bytes of each, in C order."""
    return np.frombuffer(b"".join(column.to_list()), dtype).reshape(len(column), *shape)


def job(recipe: dict[str, Any] | None, processes: int = 1, script: dict[str, Any] | None = None) -> ResolvedJob:
    """A resolved job with this recipe or script."""
    spec = {"recipe": recipe} if recipe else {"script": script}
    return ResolvedJob.model_validate(
        {"name": "job", "namespace": "default", "uid": "uid", "processesPerNode": processes, "spec": spec}
    )


def run_stage(
    run: Path | str, data: dict[str, Any], prepare_as: dict[str, Any] | None = None, processes: int = 1
) -> Result:
    """Prepare `data` (the manifest's fields) into the run folder `run`."""
    store = open_store(str(run))
    recipe = {"data": data, "prepare": prepare_as or {}}
    return Result(store, prepare(job(recipe, processes), store, lambda line: None))


def run_script_stage(run: Path | str, data: dict[str, Any]) -> Result:
    """Prepare `data` for a script."""
    store = open_store(str(run))
    return Result(store, prepare(job(None, script={"command": ["train.py"], "data": data}), store, lambda line: None))
