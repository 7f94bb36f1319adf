"""Our own loaders for what is published in torch's forms."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from trainyard_api.documents import DatasetManifest, FieldSpec, Plan, Signature
from trainyard_api.recipe import ModelSpec
from trainyard_trainer.export.columns import Array, coded
from trainyard_trainer.models import Network, build_network

METADATA = "trainyard"


class Program:
    """A published torch.export program that takes raw columns."""

    def __init__(self, program: torch.export.ExportedProgram, plan: Plan, signature: Signature) -> None:
        self.plan = plan
        self.signature = signature
        self._call = program.module()

    def predict(self, inputs: Mapping[str, Any]) -> dict[str, Array]:
        """Answer for a batch of rows.

        :param inputs: for every column its values, [rows, ...]: numbers (NaN or None: missing), texts (None or "":
            missing), tensors
        :returns: label [rows] and probabilities [rows, classes], or prediction [rows], by the signature's names
        :raises TrainyardError: a column is missing, superfluous or of a wrong type
        """
        with torch.no_grad():
            answer: Tensor = self._call(*(torch.tensor(array) for array in coded(inputs, self.plan)))
        *label, numbers = [output.name for output in self.signature.outputs]
        found: dict[str, Array] = {numbers: answer.numpy()}
        if label:
            classes = self.signature.classes
            found[label[0]] = np.array([classes[i] for i in answer.argmax(dim=1).tolist()], dtype=object)
        return found


def load_program(folder: str | Path) -> Program:
    """The model of `folder` (model/<version>/) by its model.pt2, preparation.json and signature.json."""
    folder = Path(folder)
    plan = Plan.model_validate_json((folder / "preparation.json").read_bytes())
    signature = Signature.model_validate_json((folder / "signature.json").read_bytes())
    return Program(torch.export.load(folder / "model.pt2"), plan, signature)


def weights_file(network: Network, spec: ModelSpec, features: FieldSpec) -> bytes:
    """model.safetensors: the weights, and in its metadata what load_network needs. The same bytes each time."""
    about = {"model": spec.model_dump(mode="json"), "features": features.model_dump(mode="json")}
    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in network.state_dict().items()}
    return save(tensors, metadata={METADATA: json.dumps(about, sort_keys=True)})


def network_of(file: bytes, plan: Plan, *, code: str | Path | None = None) -> Network:
    """The network that weights_file wrote, ready for answers. For `code` see load_network."""
    # safetensors: the header's length in 8 bytes, little-endian, then the header as JSON.
    header = json.loads(file[8 : 8 + int.from_bytes(file[:8], "little")])
    about = json.loads(header["__metadata__"][METADATA])
    features = FieldSpec.model_validate(about["features"])
    manifest = DatasetManifest(format="parquet", fields={"features": features}, splits={}, hash="")
    network = build_network(
        plan, ModelSpec.model_validate(about["model"]), manifest, folder=str(code) if code else None
    )
    network.load_state_dict(load(file))
    return network.eval()


def load_network(folder: str | Path, *, code: str | Path | None = None) -> Network:
    """The network of `folder` by its model.safetensors and preparation.json: prepared features to logits.

    :param code: where the module of a network of one's own (module:Class) lies, if not on sys.path
    """
    folder = Path(folder)
    plan = Plan.model_validate_json((folder / "preparation.json").read_bytes())
    return network_of((folder / "model.safetensors").read_bytes(), plan, code=code)
