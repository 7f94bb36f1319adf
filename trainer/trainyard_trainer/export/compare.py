"""The forms of a model asked the same questions: what they answer must agree."""

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn

from trainyard_api.documents import Plan, Signature
from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_trainer.export.columns import Array
from trainyard_trainer.export.program import Program
from trainyard_trainer.export.rows import Inputs
from trainyard_trainer.export.served import Answer

LIMIT = 1e-4  # of a probability, or of the target's deviation
Form = Callable[[Inputs, Array], Array]


@dataclass
class Comparison:
    """How far the forms of a model are apart: the largest difference of each from the network that was trained."""

    split: str
    rows: int = 0
    differences: dict[str, float] = field(default_factory=dict)
    unit: str = "probability"

    @property
    def largest(self) -> float:
        """The largest difference of any form."""
        return max(self.differences.values(), default=0.0)

    def document(self) -> dict[str, Any]:
        """For evaluation.json."""
        return {
            "split": self.split,
            "rows": self.rows,
            "unit": self.unit,
            "limit": LIMIT,
            "maxDifference": self.largest,
            "differences": self.differences,
        }


def compare(forms: dict[str, Form], rows: Iterable[tuple[Inputs, Array, Array]], plan: Plan, split: str) -> Comparison:
    """Ask every form about every row; the first form is what the others are measured by.

    :raises TrainyardError: they differ by more than LIMIT, or one of them answers NaN
    """
    regression = plan.target.task == "regression"
    unit = abs(plan.target.factor) if regression else 1.0
    found = Comparison(split, unit="deviation of the target" if regression else "probability")
    reference, *others = forms
    found.differences = dict.fromkeys(others, 0.0)
    for inputs, features, _ in rows:
        found.rows += len(features)
        expected = forms[reference](inputs, features).astype(np.float64)
        for name in others:
            apart = np.abs(forms[name](inputs, features) - expected).max(initial=0.0) / unit
            found.differences[name] = float(max(found.differences[name], apart if np.isfinite(apart) else np.inf))
    _refuse(found)
    return found


def _refuse(found: Comparison) -> None:
    if found.largest <= LIMIT:
        return
    worst = max(found.differences, key=found.differences.__getitem__)
    raise TrainyardError(
        f"The {worst} form of the model differs from the trained network by {found.largest:.3g} "
        f"({found.unit}; at most {LIMIT:g}) on {found.rows} rows of the {found.split} split: nothing was published.",
        where="spec.recipe.export.formats",
        remedy="If forward() of a model of your own depends on the mode or on chance, make it the same in evaluation; "
        f"or leave {worst} out of export.formats.",
        code=ExitCode.INVALID,
        cause="ExportDiffers",
    )


def network_form(network: nn.Module, plan: Plan) -> Form:
    """The network as it was trained, fed with prepared features."""
    answer = Answer(plan.target)
    network.eval()

    def ask(inputs: Inputs, features: Array) -> Array:
        with torch.no_grad():
            found: Array = answer(network(torch.from_numpy(np.array(features)))).numpy()
        return found

    return ask


def program_form(file: bytes, plan: Plan, signature: Signature) -> Form:
    """The torch.export program as it will be loaded from its file, fed with raw columns."""
    program = Program(torch.export.load(io.BytesIO(file)), plan, signature)
    return lambda inputs, features: program.predict(inputs)[signature.outputs[-1].name]


def onnx_form(file: bytes, signature: Signature) -> Form:
    """The ONNX model as onnxruntime runs it, fed with raw columns. Its labels must be those of its probabilities."""
    session = onnx_session(file)
    *label, numbers = [output.name for output in signature.outputs]
    classes = np.array(signature.classes, dtype=object)

    def ask(inputs: Inputs, features: Array) -> Array:
        *labels, found = session.run([*label, numbers], onnx_inputs(inputs, signature))
        if label and not np.array_equal(labels[0], classes[found.argmax(axis=1)]):
            return np.full_like(found, np.nan)
        return np.asarray(found)

    return ask


def onnx_session(file: bytes) -> onnxruntime.InferenceSession:
    """A session on one thread: it is asked in between torch's own."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def onnx_inputs(inputs: Inputs, signature: Signature) -> Inputs:
    """Arrays of the types that the signature names."""
    dtypes = {"FP64": "float64", "FP32": "float32", "INT64": "int64", "UINT8": "uint8", "BYTES": "object"}
    return {one.name: inputs[one.name].astype(dtypes[one.datatype], copy=False) for one in signature.inputs}


def first_row(rows: Iterator[tuple[Inputs, Array, Array]]) -> tuple[Inputs, Any]:
    """Raw columns of the first row, each [1, ...], and its label as shards hold it."""
    inputs, _, labels = next(rows)
    return {name: values[:1] for name, values in inputs.items()}, labels[0].item()
