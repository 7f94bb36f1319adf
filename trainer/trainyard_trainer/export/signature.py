"""signature.json: what the published model takes and gives."""

from typing import Literal

import numpy as np

from trainyard_api.documents import InputSignature, OutputSignature, Plan, PlanInput, Signature
from trainyard_trainer.export.columns import known_categories

DATATYPES: dict[str, Literal["FP64", "FP32", "INT64", "UINT8"]] = {
    "float64": "FP64",
    "float32": "FP32",
    "int64": "INT64",
    "uint8": "UINT8",
}


def signature_of(plan: Plan, name: str, version: str) -> Signature:
    """Inputs in the plan's order; an output that would be called like a column gets `predicted_` before its name."""
    taken = {one.name for one in plan.inputs}
    if plan.target.task == "regression":
        outputs = [OutputSignature(name=_free("prediction", taken), datatype="FP32", shape=[-1])]
    else:
        outputs = [
            OutputSignature(name=_free("label", taken), datatype="BYTES", shape=[-1]),
            OutputSignature(name=_free("probabilities", taken), datatype="FP32", shape=[-1, len(plan.target.classes)]),
        ]
    return Signature(
        name=name,
        version=version,
        task=plan.target.task,
        inputs=[_input(plan, one) for one in plan.inputs],
        outputs=outputs,
        classes=plan.target.classes,
        missingValues=plan.missing_values,
    )


def _input(plan: Plan, one: PlanInput) -> InputSignature:
    if one.kind == "categorical":
        return InputSignature(
            name=one.name,
            datatype="BYTES",
            shape=[-1],
            nullable=one.nullable,
            categories=known_categories(plan, one.name),
        )
    if one.kind == "numeric":
        return InputSignature(name=one.name, datatype="FP64", shape=[-1], nullable=one.nullable)
    return InputSignature(name=one.name, datatype=datatype(one.dtype), shape=[-1, *one.shape])


def datatype(dtype: str) -> Literal["FP64", "FP32", "INT64", "UINT8"]:
    """The protocol's datatype for a numpy one: itself, or the next that holds all of its values."""
    if dtype in DATATYPES:
        return DATATYPES[dtype]
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return "FP32" if kind.itemsize < 4 else "FP64"
    return "UINT8" if kind.kind == "b" else "INT64"


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name = f"predicted_{name}"
    return name
