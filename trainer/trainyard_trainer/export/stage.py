"""The publish stage: from trained weights to a published model."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load

from trainyard_api.canonical import canonical_json
from trainyard_api.documents import Plan, ResolvedJob
from trainyard_api.errors import TrainyardError
from trainyard_launcher.attempts import still_ours
from trainyard_storage import NotFound, Store, digest, open_store
from trainyard_trainer.data.committed import read_committed
from trainyard_trainer.export.files import Model, Source, build_model
from trainyard_trainer.export.publish import MANIFEST, version_of, write_version
from trainyard_trainer.export.signature import signature_of
from trainyard_trainer.models import build_network

MARKER = "PUBLISHED.json"
SHOWN = 4096  # numbers of a sample's tensor; a larger one stands in the version's sample.json alone


def run_publish() -> None:
    """Entry of the stage's process: the run TRAINYARD_RUN of the job in TRAINYARD_JOB is published."""
    job = ResolvedJob.model_validate_json(Path(os.environ["TRAINYARD_JOB"]).read_bytes())
    run = open_store(os.environ["TRAINYARD_RUN"], job.spec.storage)
    publish(job, run, lambda line: print(line, flush=True))  # noqa: T201 - the launcher shows the stage's output


def publish(job: ResolvedJob, run: Store, say: Callable[[str], None]) -> None:
    """Export and publish the model under model/<version>/, then PUBLISHED.json.

    Does nothing that was done before.

    :raises TrainyardError: nothing was trained, the model can't be exported, its forms differ, or the version is there
        with other content; then no marker is written
    """
    if published(run):
        return
    source, weights = _source(job, run)
    version = version_of(weights, source.plan)
    model = build_model(source, signature_of(source.plan, job.name, version), say)
    folder = run.child(f"model/{version}")
    found = write_version(folder, model.files)
    still_ours(run)
    run.put_json(MARKER, _marker(model, folder, source.evaluation, found))
    say(f"published: {folder.uri}")


def published(run: Store) -> bool:
    """Whether the marker is there, and the version that it names is the one it was written for."""
    marker = run.get_json(MARKER)
    if not isinstance(marker, dict) or "version" not in marker:
        return False
    manifest = run.get_json(f"model/{marker['version']}/{MANIFEST}")
    return manifest is not None and digest(canonical_json(manifest)) == marker.get("digest")


def _source(job: ResolvedJob, run: Store) -> tuple[Source, bytes]:
    recipe = job.spec.recipe
    trained = run.get_json("trained/TRAINED.json")
    committed = read_committed(run)
    if recipe is None or trained is None or committed is None:
        raise TrainyardError(
            "There is nothing to publish: the run has no trained weights.", where=run.uri, cause="NotTrained"
        )
    weights = run.get("trained/weights.safetensors", xxh3=trained["weightsDigest"])
    plan = Plan.model_validate_json(committed.document("preparation.json"))
    network = build_network(plan, recipe.model, committed.manifest, folder=job.folder)
    network.load_state_dict(load(weights))
    source = Source(
        plan=plan,
        recipe=recipe,
        data=committed.data,
        manifest=committed.manifest,
        card=_document(lambda: committed.document("card.json")),
        evaluation=_document(lambda: run.get("evaluation.json")),
        network=network.eval(),
        folder=job.folder,
    )
    return source, weights


def _document(read: Callable[[], bytes]) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(read())
    except NotFound:
        return {}
    return found


def _marker(model: Model, folder: Store, evaluation: dict[str, Any], found: str) -> dict[str, Any]:
    sample = dict(model.sample)
    if any(isinstance(value, list) and len(json.dumps(value)) > 8 * SHOWN for value in sample["input"].values()):
        sample["input"] = None
    return {
        "version": model.signature.version,
        "uri": folder.uri,
        "metrics": evaluation.get("metrics", {}),
        "maxDifference": model.comparison.largest,
        "digest": found,
        "sample": sample,
    }
