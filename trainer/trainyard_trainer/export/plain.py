"""A network of one's own, published from a script: tensors in, one tensor out, no preparation."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import onnx
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from trainyard_api.canonical import canonical_json
from trainyard_api.documents import InputSignature, OutputSignature, Signature
from trainyard_api.errors import TrainyardError
from trainyard_storage import Store, digest128
from trainyard_trainer.export.compare import LIMIT, onnx_session
from trainyard_trainer.export.onnx_graph import convert, serialized
from trainyard_trainer.export.publish import write_version
from trainyard_trainer.export.served import trace

OUTPUT = "output"
DATATYPES: dict[torch.dtype, Literal["FP64", "FP32", "INT64", "UINT8"]] = {
    torch.float64: "FP64",
    torch.float32: "FP32",
    torch.int64: "INT64",
    torch.uint8: "UINT8",
}


def export_network(
    network: nn.Module,
    example: Mapping[str, Tensor],
    folder: Store,
    name: str,
    formats: Sequence[str] = ("safetensors", "torch", "onnx"),
) -> dict[str, Any]:
    """Publish `network` under `folder`/<version>/ in these formats, whose answers are compared.

    :param network: called with the example's tensors in their order, it must return one tensor [rows, ...]; it is
        exported in evaluation mode, on the CPU, and left in the mode and on the device it was in; DDP is taken off
    :param example: inputs by name, float64, float32, int64 or uint8, each [rows, ...] with at least two rows; only the
        number of rows may differ later
    :param folder: where versions lie: run/model
    :param name: name of the model
    :returns: version, uri, digest and maxDifference (the largest of any number, divided by the largest number of the
        network's answer or by 1)
    :raises TrainyardError: the example is unfit, the network can't be exported, its forms differ by more than 1e-4, or
        the version is there with other content
    """
    inputs = {key: tensor.detach().cpu() for key, tensor in example.items()}
    _check(inputs)
    network = network.module if isinstance(network, DistributedDataParallel) else network
    training, devices = network.training, {tensor.device for tensor in network.state_dict().values()}
    network.eval().cpu()
    try:
        return _publish(network, inputs, folder, name, formats)
    finally:
        network.train(training)
        if len(devices) == 1:
            network.to(devices.pop())


def _publish(
    network: nn.Module, inputs: dict[str, Tensor], folder: Store, name: str, formats: Sequence[str]
) -> dict[str, Any]:
    weights = save({key: tensor.detach().clone().contiguous() for key, tensor in network.state_dict().items()})
    with torch.no_grad():
        expected = network(*inputs.values())
    _check_answer(expected, inputs)
    files = {"model.safetensors": weights} if "safetensors" in formats else {}
    if "torch" in formats or "onnx" in formats:
        files |= _traced(network, inputs, formats)
    differences = _differences(files, inputs, expected.numpy())
    signature = _signature(name, weights, inputs, expected)
    files["signature.json"] = canonical_json(signature.model_dump(mode="json"))
    files["evaluation.json"] = canonical_json({"export": {"rows": len(expected), "differences": differences}})
    there = folder.child(signature.version)
    found = write_version(there, files)
    largest = max(differences.values(), default=0.0)
    return {"version": signature.version, "uri": there.uri, "digest": found, "maxDifference": largest}


def _traced(network: nn.Module, inputs: dict[str, Tensor], formats: Sequence[str]) -> dict[str, bytes]:
    program = trace(network, list(inputs.values()))
    files = {}
    if "torch" in formats:
        file = io.BytesIO()
        torch.export.save(program, file)
        files["model.pt2"] = file.getvalue()
    if "onnx" in formats:
        model = convert(program, list(inputs), OUTPUT)
        onnx.checker.check_model(model, full_check=True)
        files["model.onnx"] = serialized(model)
    return files


def _check(inputs: dict[str, Tensor]) -> None:
    rows = {len(tensor) if tensor.ndim else 0 for tensor in inputs.values()}
    wrong = [key for key, tensor in inputs.items() if tensor.dtype not in DATATYPES]
    if len(rows) != 1 or min(rows) < 2 or wrong or OUTPUT in inputs:
        raise TrainyardError(
            f"The example can't be exported: {', '.join(f'{k} {t.dtype} {list(t.shape)}' for k, t in inputs.items())}.",
            where="job.export",
            remedy="Give named tensors of float64, float32, int64 or uint8, all with the same number of rows, two or "
            f"more, none called {OUTPUT!r}.",
            cause="ExportFailed",
        )


def _check_answer(answer: Any, inputs: dict[str, Tensor]) -> None:
    rows = len(next(iter(inputs.values())))
    if not isinstance(answer, Tensor) or answer.ndim == 0 or len(answer) != rows or answer.dtype not in DATATYPES:
        shown = f"{answer.dtype} {list(answer.shape)}" if isinstance(answer, Tensor) else type(answer).__name__
        raise TrainyardError(
            f"The network answers {rows} rows with {shown}.",
            where="job.export",
            remedy="Let forward() return one tensor [rows, ...] of float64, float32, int64 or uint8.",
            cause="ExportFailed",
        )


def _differences(files: dict[str, bytes], inputs: dict[str, Tensor], expected: Any) -> dict[str, float]:
    """Largest difference of each form, by the size of the answers. Refused above LIMIT."""
    answers: dict[str, Any] = {}
    if "model.pt2" in files:
        with torch.no_grad():
            answers["torch"] = torch.export.load(io.BytesIO(files["model.pt2"])).module()(*inputs.values()).numpy()
    if "model.onnx" in files:
        session = onnx_session(files["model.onnx"])
        (answers["onnx"],) = session.run([OUTPUT], {key: tensor.numpy() for key, tensor in inputs.items()})
    size = max(1.0, float(np.abs(expected).max(initial=0.0)))
    found = {
        form: float(np.abs(answer.astype(np.float64) - expected).max(initial=0.0)) / size
        for form, answer in answers.items()
    }
    for form, apart in found.items():
        if not apart <= LIMIT:
            raise TrainyardError(
                f"The {form} form of the model differs from the network by {apart:.3g} (at most {LIMIT:g}): "
                "nothing was published.",
                where="job.export",
                remedy="Let forward() depend neither on chance nor on the mode.",
                cause="ExportDiffers",
            )
    return found


def _signature(name: str, weights: bytes, inputs: dict[str, Tensor], answer: Tensor) -> Signature:
    """Its version is a digest of the weights, the name and what goes in."""
    given = [
        InputSignature(name=key, datatype=DATATYPES[tensor.dtype], shape=[-1, *tensor.shape[1:]])
        for key, tensor in inputs.items()
    ]
    output = OutputSignature(name=OUTPUT, datatype=DATATYPES[answer.dtype], shape=[-1, *answer.shape[1:]])
    version = digest128(weights + canonical_json([name, [one.model_dump(mode="json") for one in given]]))[:12]
    return Signature(name=name, version=version, inputs=given, outputs=[output])
