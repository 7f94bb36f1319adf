"""Publishing the network of a program of one's own: tensors in, tensors out."""

import io
import logging
import warnings
from collections.abc import Sequence

import numpy as np
import onnxruntime
import torch
from safetensors.torch import save
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from trainyard_api.canonical import canonical_json
from trainyard_api.errors import TrainyardError
from trainyard_storage import Store, digest, digest128

TOLERANCE = 1e-4


def export_network(run: Store, network: nn.Module, example: torch.Tensor, formats: Sequence[str]) -> str:
    """Write model/<version>/ and PUBLISHED.json; returns the version's URI. For the rest see Job.export."""
    bare = network.module if isinstance(network, DistributedDataParallel) else network
    training = bare.training
    bare.eval()
    try:
        files = _files(bare, example, formats)
    finally:
        bare.train(training)
    weights = [name for name in sorted(files) if name == "model.safetensors"] or sorted(files)
    version = digest128(b"".join(files[name] for name in weights))[:12]
    folder = run.child(f"model/{version}")
    described = {name: {"bytes": len(data), "xxh3": digest(data)} for name, data in files.items()}
    for name, data in files.items():
        folder.put(name, data)
    folder.put_json("manifest.json", {"files": described})
    found = digest(canonical_json({"files": described}))
    run.put_json("PUBLISHED.json", {"version": version, "uri": folder.uri, "digest": found, "metrics": {}})
    return folder.uri


def _files(network: nn.Module, example: torch.Tensor, formats: Sequence[str]) -> dict[str, bytes]:
    files = {}
    if "safetensors" in formats:
        state = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in network.state_dict().items()}
        files["model.safetensors"] = save(state)
    if not {"torch", "onnx"} & set(formats):
        return files
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of a library that nobody needs here
    try:
        program = torch.export.export(network, (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
        if "torch" in formats:
            content = io.BytesIO()
            torch.export.save(program, content)
            files["model.pt2"] = content.getvalue()
        if "onnx" in formats:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # of torch's own code
                made = torch.onnx.export(program, dynamo=True, verbose=False)
            assert made is not None
            files["model.onnx"] = made.model_proto.SerializeToString()
    except Exception as error:
        raise TrainyardError(
            f"The network can't be exported: {type(error).__name__}: {str(error).splitlines()[0]}",
            remedy="Export safetensors alone (formats=('safetensors',)), or let forward() not depend on values.",
            cause="NotExportable",
        ) from error
    if "onnx" in files:
        _compare(network, example, files["model.onnx"])
    return files


def _compare(network: nn.Module, example: torch.Tensor, onnx: bytes) -> None:
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    answer = session.run(None, {session.get_inputs()[0].name: example.cpu().numpy()})[0]
    with torch.no_grad():
        expected = network(example).cpu().numpy()
    largest = float(np.abs(np.asarray(answer) - expected).max() / max(1.0, float(np.abs(expected).max())))
    if not largest <= TOLERANCE:
        raise TrainyardError(
            f"The ONNX form answers differently: by {largest:.2g} of the largest value.",
            remedy="Export without onnx, or report this.",
            cause="ExportDiffers",
        )
