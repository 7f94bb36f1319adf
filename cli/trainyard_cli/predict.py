"""`trainyard predict`: rows answered by a published model, one JSON line each."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

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
        for row in zip(*(found[output.name] for output in model.signature.outputs), strict=True):
            yield _answer(row, model.signature)


def _answer(row: tuple[Any, ...], signature: Signature) -> dict[str, Any]:
    """What is said of one row, given what each output says of it."""
    if signature.task is None:
        return {output.name: _plain(value) for output, value in zip(signature.outputs, row, strict=True)}
    *label, numbers = row
    return _classes(str(label[0]), numbers, signature) if label else {"prediction": _short(numbers)}


def _classes(label: str, shares: Any, signature: Signature) -> dict[str, Any]:
    named = {name: _short(share) for name, share in zip(signature.classes, shares, strict=True)}
    return {"label": label, "probability": named[label], "probabilities": named}


def _short(number: Any) -> float:
    """As many digits as a float32 has."""
    return float(f"{float(number):.7g}")


def _plain(value: Any) -> Any:
    """A number, or nested lists of them."""
    if isinstance(value, np.ndarray):
        return [_plain(one) for one in value]
    return _short(value) if value.dtype == np.float32 else value.item()


def _sample(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / "sample.json").read_bytes())
    except FileNotFoundError as error:
        raise TrainyardError(
            "This model was published without a sample.", str(folder), "Give rows with --input FILE.", cause="NoSample"
        ) from error
    return found
