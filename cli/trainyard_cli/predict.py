"""`trainyard predict`: rows answered by a published model, one JSON line each."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainyard_api.documents import Signature
from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_cli.arrays import Arrays, arrays_for, not_inputs
from trainyard_cli.rows import read_rows
from trainyard_server.model import InferenceModel
from trainyard_server.model_store import resolve_model

BATCH = 1024


def main(args: argparse.Namespace) -> int:
    """Answer `args.input` (a file, or - for standard input; None: the sample published with it) by `args.model`."""
    folder = resolve_model(args.model)
    model = InferenceModel.load(folder)
    expected: dict[str, Any] = {}
    if args.input is None:
        sample = _sample(folder)
        columns = {name: [value] for name, value in sample["input"].items()}
        known = sample["expected"]
        expected = {"expected": _short(known) if isinstance(known, float) else known}
    else:
        columns = read_rows(args.input, sys.stdin.buffer, model.signature)
    arrays = arrays_for(columns, model.signature)
    if others := not_inputs(columns, model.signature):
        sys.stderr.write(f"Left aside, as the model doesn't ask for them: {', '.join(others)}\n")
    for answer in _answers(model, arrays):
        sys.stdout.write(json.dumps(answer | expected, ensure_ascii=False) + "\n")
    return ExitCode.OK


def _answers(model: InferenceModel, inputs: Arrays) -> Iterator[dict[str, Any]]:
    rows = len(next(iter(inputs.values())))
    for start in range(0, rows, BATCH):
        found = model.predict({name: values[start : start + BATCH] for name, values in inputs.items()})
        *label, numbers = [found[output.name] for output in model.signature.outputs]
        for i, number in enumerate(numbers):
            yield _classes(str(label[0][i]), number, model.signature) if label else {"prediction": _short(number)}


def _classes(label: str, shares: Any, signature: Signature) -> dict[str, Any]:
    named = {name: _short(share) for name, share in zip(signature.classes, shares, strict=True)}
    return {"label": label, "probability": named[label], "probabilities": named}


def _short(number: Any) -> float:
    """As many digits as a float32 has."""
    return float(f"{float(number):.7g}")


def _sample(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / "sample.json").read_bytes())
    except FileNotFoundError as error:
        raise TrainyardError(
            "This model was published without a sample.", str(folder), "Give rows with --input FILE.", cause="NoSample"
        ) from error
    return found
