"""Small published models, made with ONNX's own helpers: as the exporter's, but in milliseconds and without torch."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from trainyard_api.documents import InputSignature, OutputSignature, Signature
from trainyard_storage import digest

CITIES = ["Bern", "Oslo", "Zürich"]


def publish(folder: Path, signature: Signature, graph: onnx.GraphProto) -> Path:
    """Write a model's folder: signature.json, model.onnx, manifest.json."""
    folder.mkdir(parents=True, exist_ok=True)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    onnx.checker.check_model(model)
    files = {"signature.json": signature.model_dump_json().encode(), "model.onnx": model.SerializeToString()}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    listed = {name: {"bytes": len(data), "xxh3": digest(data)} for name, data in files.items()}
    (folder / "manifest.json").write_text(json.dumps({"files": listed}))
    return folder


def _labels(classes: list[str]) -> list[onnx.NodeProto]:
    """From `logits` [N, classes] to `label` and `probabilities`."""
    keys = {"keys_int64s": range(len(classes)), "values_strings": classes, "default_string": ""}
    return [
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["logits"], ["best"], axis=1, keepdims=0),
        helper.make_node("LabelEncoder", ["best"], ["label"], domain="ai.onnx.ml", **keys),
    ]


def table_model(folder: Path, name: str = "table") -> Path:
    """Publish a classifier of `age` (FP64), `income` (FP64, may be missing: 1000) and `city` (text, may be missing).

    Its logits are [income / 1000, age / 10]; a known city adds its index to the second: hand-checkable. In CSV, `-999`
    means a missing value, as do an empty text and `NA`.
    """
    nodes = [
        helper.make_node("IsNaN", ["income"], ["gone"]),
        helper.make_node("Where", ["gone", "thousand", "income"], ["filled"]),
        helper.make_node("Div", ["filled", "thousand"], ["first"]),
        helper.make_node("Div", ["age", "ten"], ["years"]),
        helper.make_node(
            "LabelEncoder", ["city"], ["code"], domain="ai.onnx.ml",
            keys_strings=CITIES, values_floats=[0.0, 1.0, 2.0], default_float=0.0,
        ),
        helper.make_node("Cast", ["code"], ["code64"], to=TensorProto.DOUBLE),
        helper.make_node("Add", ["years", "code64"], ["second"]),
        helper.make_node("Unsqueeze", ["first", "axis"], ["a"]),
        helper.make_node("Unsqueeze", ["second", "axis"], ["b"]),
        helper.make_node("Concat", ["a", "b"], ["both"], axis=1),
        helper.make_node("Cast", ["both"], ["logits"], to=TensorProto.FLOAT),
        *_labels(["no", "yes"]),
    ]  # fmt: skip
    constants = {"thousand": np.array(1000.0), "ten": np.array(10.0), "axis": np.array([1])}
    graph = helper.make_graph(
        nodes,
        name,
        [
            helper.make_tensor_value_info("age", TensorProto.DOUBLE, ["N"]),
            helper.make_tensor_value_info("income", TensorProto.DOUBLE, ["N"]),
            helper.make_tensor_value_info("city", TensorProto.STRING, ["N"]),
        ],
        [
            helper.make_tensor_value_info("label", TensorProto.STRING, ["N"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 2]),
        ],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    signature = Signature(
        name=name,
        version="0123456789ab",
        task="binary",
        inputs=[
            InputSignature(name="age", datatype="FP64", shape=[-1]),
            InputSignature(name="income", datatype="FP64", shape=[-1], nullable=True),
            InputSignature(name="city", datatype="BYTES", shape=[-1], nullable=True, categories=CITIES),
        ],
        outputs=[
            OutputSignature(name="label", datatype="BYTES", shape=[-1]),
            OutputSignature(name="probabilities", datatype="FP32", shape=[-1, 2]),
        ],
        classes=["no", "yes"],
        missingValues=["", "NA", " -999"],
    )
    return publish(folder, signature, graph)


def image_model(folder: Path, width: int = 64, layers: int = 2, name: str = "digits") -> Path:
    """Publish a classifier of 8x8 UINT8 images: random dense layers of `width` (fixed seed), ten classes."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["pixels"], ["h0"], axis=1),
    ]
    weights: dict[str, np.ndarray] = {}
    sizes = [64, *[width] * layers, 10]
    for i, (rows, columns) in enumerate(pairwise(sizes)):
        weights[f"w{i}"] = (rng.standard_normal((rows, columns)) / rows).astype(np.float32)
        last = i == len(sizes) - 2
        nodes.append(helper.make_node("MatMul", [f"h{i}", f"w{i}"], ["logits" if last else f"m{i}"]))
        if not last:
            nodes.append(helper.make_node("Relu", [f"m{i}"], [f"h{i + 1}"]))
    classes = [str(digit) for digit in range(10)]
    graph = helper.make_graph(
        nodes + _labels(classes),
        name,
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 8, 8])],
        [
            helper.make_tensor_value_info("label", TensorProto.STRING, ["N"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 10]),
        ],
        [numpy_helper.from_array(value, key) for key, value in weights.items()],
    )
    signature = Signature(
        name=name,
        version="0123456789ab",
        task="multiclass",
        inputs=[InputSignature(name="image", datatype="UINT8", shape=[-1, 8, 8])],
        outputs=[
            OutputSignature(name="label", datatype="BYTES", shape=[-1]),
            OutputSignature(name="probabilities", datatype="FP32", shape=[-1, 10]),
        ],
        classes=classes,
    )
    return publish(folder, signature, graph)
