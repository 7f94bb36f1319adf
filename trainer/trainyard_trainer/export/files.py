"""Every file of a published model, made in memory and compared before any is written."""

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from trainyard_api.canonical import canonical_json
from trainyard_api.documents import DatasetManifest, Plan, Signature
from trainyard_api.recipe import Recipe
from trainyard_storage import Store
from trainyard_trainer.export.card import model_card
from trainyard_trainer.export.columns import Array, coded
from trainyard_trainer.export.compare import (
    Comparison,
    Form,
    compare,
    first_row,
    network_form,
    onnx_form,
    program_form,
)
from trainyard_trainer.export.onnx_graph import serialized, served_graph
from trainyard_trainer.export.program import network_of, weights_file
from trainyard_trainer.export.rows import Inputs, compared_split, paired_rows
from trainyard_trainer.export.served import Served, trace
from trainyard_trainer.models import Network

FILES = {"safetensors": "model.safetensors", "torch": "model.pt2", "onnx": "model.onnx"}


@dataclass
class Source:
    """What a model is published from."""

    plan: Plan
    recipe: Recipe
    data: Store
    manifest: DatasetManifest
    card: dict[str, Any]
    evaluation: dict[str, Any]
    network: Network
    folder: str | None  # of the manifest: where a network of one's own lies


@dataclass
class Model:
    """A model ready to be published."""

    signature: Signature
    files: dict[str, bytes]
    comparison: Comparison
    sample: dict[str, Any]


def build_model(source: Source, signature: Signature, say: Callable[[str], None]) -> Model:
    """Make every form asked for, and compare them on the whole test split.

    :raises TrainyardError: the network can't be exported, or its forms differ by more than 1e-4
    """
    plan, manifest = source.plan, source.manifest
    split = compared_split(manifest)
    one, label = first_row(paired_rows(source.data, manifest, plan, split))
    started = time.monotonic()
    models, forms = _forms(source, signature, one)
    say(f"exported as {', '.join(models)} in {time.monotonic() - started:.1f} s")
    comparison = compare(forms, paired_rows(source.data, manifest, plan, split), plan, split)
    say(f"the forms differ by at most {comparison.largest:.2g} on {comparison.rows} rows of the {split} split")
    evaluation = {**source.evaluation, "export": comparison.document()}
    sample = _sample(forms, source, signature, one, label)
    files = {FILES[name]: data for name, data in models.items()}
    files["signature.json"] = canonical_json(signature.model_dump(mode="json"))
    files["preparation.json"] = canonical_json(plan.model_dump(mode="json"))
    files["evaluation.json"] = canonical_json(evaluation)
    files["sample.json"] = canonical_json(sample)
    files["MODEL_CARD.md"] = model_card(source.recipe, plan, signature, source.card, evaluation, list(models)).encode()
    return Model(signature, files, comparison, sample)


def _forms(source: Source, signature: Signature, one: Inputs) -> tuple[dict[str, bytes], dict[str, Form]]:
    """Bytes of each format asked for; and what answers for each, the trained network first."""
    plan, network, formats = source.plan, source.network, source.recipe.export.formats
    forms: dict[str, Form] = {"network": network_form(network, plan)}
    models: dict[str, bytes] = {}
    if "safetensors" in formats:
        models["safetensors"] = weights_file(network, source.recipe.model, source.manifest.fields["features"])
        forms["safetensors"] = network_form(network_of(models["safetensors"], plan, code=source.folder), plan)
    if "torch" not in formats and "onnx" not in formats:
        return models, forms
    two = {name: np.concatenate([values, values]) for name, values in one.items()}
    program = trace(Served(plan, network), [torch.tensor(array) for array in coded(two, plan)])
    if "torch" in formats:
        file = io.BytesIO()
        torch.export.save(program, file)
        models["torch"] = file.getvalue()
        forms["torch"] = program_form(models["torch"], plan, signature)
    if "onnx" in formats:
        models["onnx"] = serialized(served_graph(program, plan, signature))
        forms["onnx"] = onnx_form(models["onnx"], signature)
    return models, forms


def _sample(forms: dict[str, Form], source: Source, signature: Signature, one: Inputs, label: float) -> dict[str, Any]:
    """One raw row, the model's answer to it, and the truth, as plain JSON."""
    target = source.plan.target
    split = compared_split(source.manifest)
    features = next(paired_rows(source.data, source.manifest, source.plan, split))[1][:1]
    numbers: Array = forms["network"](one, features)[0]
    output: dict[str, Any]
    if target.task == "regression":
        output = {signature.outputs[0].name: float(numbers)}
        expected: Any = label * target.factor + target.offset
    else:
        best = int(numbers.argmax())
        shares = dict(zip(target.classes, (round(float(share), 6) for share in numbers), strict=True))
        output = {"label": target.classes[best], "probability": shares[target.classes[best]], "probabilities": shares}
        expected = target.classes[int(label)]
    return {"input": {name: _plain(values[0]) for name, values in one.items()}, "output": output, "expected": expected}


def _plain(value: Any) -> Any:
    """A number, a text or nested lists; None for what is missing."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, str):
        return value or None
    number = float(value)
    return None if number != number else number
