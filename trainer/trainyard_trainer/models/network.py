"""The whole network: from features as they stand in prepared shards to logits."""

import torch
from torch import Tensor, nn

from trainyard_api.documents import DatasetManifest, Plan, PlanInput
from trainyard_api.errors import TrainyardError
from trainyard_api.recipe import ModelSpec
from trainyard_trainer.models import cnn, mlp  # noqa: F401  (they join the registry)
from trainyard_trainer.models.registry import create


class TensorScale(nn.Module):
    """Raw tensors [N, *shape] of any number type to float32 (x - offset) / factor, images with channels first.

    `layout` HW gains a channel axis, HWC becomes CHW; any other shape is kept. `offset` and `factor` hold one value, or
    one per channel.
    """

    offset: Tensor
    factor: Tensor

    def __init__(self, layout: str, offset: list[float], factor: list[float]) -> None:
        super().__init__()
        self.layout = layout
        shape = (-1, 1, 1) if layout in ("HW", "HWC", "CHW") else (-1,)
        self.register_buffer("offset", torch.tensor(offset, dtype=torch.float32).reshape(shape))
        self.register_buffer("factor", torch.tensor(factor, dtype=torch.float32).reshape(shape))

    def forward(self, features: Tensor) -> Tensor:
        if self.layout == "HW":
            features = features.unsqueeze(1)
        elif self.layout == "HWC":
            features = features.permute(0, 3, 1, 2)
        scaled: Tensor = (features.to(torch.float32) - self.offset) / self.factor
        return scaled


class Network(nn.Module):
    """Features as stored in shards -> logits [N, classes], or [N, 1] for a regression, on the scaled target."""

    def __init__(self, scale: TensorScale | None, model: nn.Module, outputs: int) -> None:
        super().__init__()
        self.scale = scale
        self.model = model
        self.outputs = outputs

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.model(features if self.scale is None else self.scale(features))
        return logits


def build_network(plan: Plan, model: ModelSpec, manifest: DatasetManifest, *, folder: str | None = None) -> Network:
    """The network for prepared data, with fresh weights drawn from torch's global generator.

    `folder` is where a user's `module:Class` is looked for besides sys.path. Raises TrainyardError (InvalidModel).
    """
    outputs = max(2, len(plan.target.classes)) if plan.target.task != "regression" else 1
    tensor = next((one for one in plan.inputs if one.kind == "tensor"), None)
    if tensor is None:
        return Network(None, create(model, tuple(manifest.fields["features"].shape), outputs, folder), outputs)
    return Network(_scale(plan, tensor), create(model, _sample_shape(tensor), outputs, folder), outputs)


def check_output(network: Network, logits: object, rows: int, name: str) -> None:
    """Raise TrainyardError unless `logits` is a float tensor [rows, outputs], as every loss here expects."""
    expected = [rows, network.outputs]
    if isinstance(logits, Tensor) and list(logits.shape) == expected and logits.is_floating_point():
        return
    got = f"{logits.dtype} {list(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
    raise TrainyardError(
        f"{name} gives {got} where a float tensor {expected} (samples, outputs) is expected",
        where="spec.recipe.model.type",
        remedy=f"let forward() return one row of {network.outputs} numbers per sample",
        cause="InvalidModel",
    )


def _scale(plan: Plan, tensor: PlanInput) -> TensorScale:
    step = next((one for one in plan.steps if one.op == "scale_tensor"), None)
    offset = 0.0 if step is None or step.offset is None else step.offset
    factor = 1.0 if step is None or step.factor is None else step.factor
    return TensorScale(tensor.layout, _listed(offset), _listed(factor))


def _listed(value: float | list[float]) -> list[float]:
    return value if isinstance(value, list) else [value]


def _sample_shape(tensor: PlanInput) -> tuple[int, ...]:
    """Shape of one sample behind TensorScale."""
    shape = tuple(tensor.shape)
    if tensor.layout == "HW":
        return (1, *shape)
    if tensor.layout == "HWC":
        return (shape[2], shape[0], shape[1])
    return shape
