"""The traced program as ONNX, with text categories in and class names out."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import numpy as np
import onnx
import torch
from onnx import TensorProto, compose, helper

from trainyard_api.documents import InputSignature, Plan, Signature
from trainyard_api.errors import TrainyardError
from trainyard_trainer.export.columns import category_table

INSIDE = "trainyard/"  # before every name of the network's own graph, so that columns may be called anything
ML = ("ai.onnx.ml", 3)
TYPES = {
    "FP64": TensorProto.DOUBLE,
    "FP32": TensorProto.FLOAT,
    "INT64": TensorProto.INT64,
    "UINT8": TensorProto.UINT8,
    "BYTES": TensorProto.STRING,
}


def convert(program: torch.export.ExportedProgram, inputs: list[str], output: str) -> onnx.ModelProto:
    """A traced program as it is, with these names for inputs and output.

    :raises TrainyardError: it holds an operation that ONNX lacks
    """
    try:
        with _quiet():
            # Not optimised: onnxruntime does that when it loads the model, and the export takes half the time.
            converted = torch.onnx.export(
                program, dynamo=True, input_names=inputs, output_names=[output], optimize=False, verbose=False
            )
    except Exception as error:
        raise TrainyardError(
            f"The network can't be written as ONNX: {str(error).strip().splitlines()[0]}",
            where="spec.recipe.export.formats",
            remedy="Leave onnx out of export.formats, or use operations that ONNX has.",
            cause="ExportFailed",
        ) from error
    assert converted is not None
    return converted.model_proto


def served_graph(program: torch.export.ExportedProgram, plan: Plan, signature: Signature) -> onnx.ModelProto:
    """The program of a Served module between raw inputs and named outputs, as `signature` says.

    Texts are mapped to codes by ai.onnx.ml.LabelEncoder before it, the most probable class to its name after it.
    """
    names = [f"input{i}" for i in range(len(signature.inputs))]
    model = convert(program, names, "answer")
    compose.add_prefix(model, INSIDE, inplace=True)
    graph = model.graph
    wanted = {value.name: value.type.tensor_type.elem_type for value in graph.input}
    before = [
        _entry(spec, INSIDE + name, wanted[INSIDE + name], plan)
        for spec, name in zip(signature.inputs, names, strict=True)
    ]
    after = _answers(signature)
    inner = list(graph.node)
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend([*before, *inner, *after])
    graph.input.extend(_value(spec.name, spec.datatype, spec.shape) for spec in signature.inputs)
    graph.output.extend(_value(spec.name, spec.datatype, spec.shape) for spec in signature.outputs)
    if ML[0] not in {one.domain for one in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(*ML))
    onnx.checker.check_model(model, full_check=True)
    return model


def _entry(spec: InputSignature, to: str, element: int, plan: Plan) -> onnx.NodeProto:
    if spec.datatype == "BYTES":
        table = category_table(plan)[spec.name]
        return helper.make_node(
            "LabelEncoder",
            [spec.name],
            [to],
            domain=ML[0],
            keys_strings=list(table) or [""],
            values_int64s=list(table.values()) or [0],
            default_int64=len(spec.categories),
        )
    if TYPES[spec.datatype] != element:
        return helper.make_node("Cast", [spec.name], [to], to=element)
    return helper.make_node("Identity", [spec.name], [to])


def _answers(signature: Signature) -> list[onnx.NodeProto]:
    answer = INSIDE + "answer"
    *label, numbers = [output.name for output in signature.outputs]
    nodes = [helper.make_node("Identity", [answer], [numbers])]
    if label:
        best = INSIDE + "best"
        nodes.append(helper.make_node("ArgMax", [answer], [best], axis=1, keepdims=0))
        nodes.append(
            helper.make_node(
                "LabelEncoder",
                [best],
                label,
                domain=ML[0],
                keys_int64s=list(range(len(signature.classes))),
                values_strings=signature.classes,
            )
        )
    return nodes


def _value(name: str, datatype: str, shape: list[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TYPES[datatype], ["rows", *shape[1:]])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints its steps, and warns of what nobody asked for (torchvision's operators, its own pytrees)."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def serialized(model: onnx.ModelProto) -> bytes:
    """Bytes of model.onnx. TrainyardError above protobuf's limit of 2 GB."""
    if model.ByteSize() >= 2**31 - np.iinfo(np.int16).max:
        raise TrainyardError(
            "The network is larger than the 2 GB that an ONNX file can hold.",
            where="spec.recipe.export.formats",
            remedy="Leave onnx out of export.formats.",
            cause="ExportFailed",
        )
    data: bytes = model.SerializeToString(deterministic=True)
    return data
