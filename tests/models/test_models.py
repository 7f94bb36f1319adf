"""The networks: shapes, raw tensors, a user's own class, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from support.training import plan_of
from trainyard_api.documents import DatasetManifest, FieldSpec, Plan
from trainyard_api.errors import TrainyardError
from trainyard_api.recipe import ModelSpec
from trainyard_trainer.models import TensorScale, build_network
from trainyard_trainer.models.network import Network, check_output


def build(plan: Plan, shape: list[int], folder: str | None = None, **spec: Any) -> Network:
    fields = {"features": FieldSpec(dtype="float32", shape=shape)}
    manifest = DatasetManifest(format="parquet", fields=fields, splits={}, hash="")
    return build_network(plan, ModelSpec.model_validate(spec), manifest, folder=folder)


TABLE = plan_of(np.zeros((3, 4), np.float32), np.arange(3))
TWO_CLASSES = plan_of(np.zeros((2, 4), np.float32), np.arange(2))
REGRESSION = plan_of(np.zeros((2, 4), np.float32), np.zeros(2, np.float32))


def images(height: int, width: int) -> Plan:
    return plan_of(np.zeros((3, height, width), np.uint8), np.arange(3))


@pytest.mark.parametrize(("plan", "outputs"), [(TABLE, 3), (TWO_CLASSES, 2), (REGRESSION, 1)])
def test_mlp(plan: Plan, outputs: int) -> None:
    network = build(plan, [4], hidden=[7, 5], batchNorm=True, dropout=0.5)
    assert network(torch.zeros(6, 4)).shape == (6, outputs)
    kinds = [type(layer).__name__ for layer in network.model.children()]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Dropout"] * 2 + ["Linear"]


@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh", "silu"])
@pytest.mark.parametrize("size", [(8, 8), (9, 17), (1, 5)])
@pytest.mark.parametrize("kernel", [1, 3, 4])
def test_cnn_on_raw_bytes(activation: str, size: tuple[int, int], kernel: int) -> None:
    network = build(
        images(*size), list(size), type="cnn", channels=[4, 4, 4, 4, 4], kernelSize=kernel, activation=activation
    )
    assert network(torch.zeros(2, *size, dtype=torch.uint8)).shape == (2, 3)


def test_mlp_on_images() -> None:
    assert build(images(8, 8), [8, 8])(torch.zeros(2, 8, 8, dtype=torch.uint8)).shape == (2, 3)


def test_tensor_scale() -> None:
    pixels = torch.arange(2 * 4 * 5 * 3, dtype=torch.uint8).reshape(2, 4, 5, 3)
    scaled = TensorScale("HWC", [1.0, 2.0, 3.0], [2.0, 4.0, 8.0])(pixels)
    assert scaled.shape == (2, 3, 4, 5)
    expected = (pixels.double().numpy() - [1, 2, 3]) / [2, 4, 8]
    np.testing.assert_allclose(scaled.permute(0, 2, 3, 1).numpy(), expected, rtol=1e-6)
    assert torch.equal(TensorScale("HW", [0.0], [16.0])(pixels[..., 0]), pixels[:, None, :, :, 0] / 16)
    assert torch.equal(TensorScale("", [0.0], [2.0])(pixels), pixels / 2)


def test_same_seed_same_weights() -> None:
    torch.manual_seed(5)
    first = build(TABLE, [4]).state_dict()
    torch.manual_seed(5)
    second = build(TABLE, [4]).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


OWN = """
import torch
from torch import nn

class Straight(nn.Module):
    def __init__(self, input_shape, outputs, *, width=3):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(input_shape[0], width), nn.Linear(width, outputs))

    def forward(self, x):
        return self.layers(x)

class NoArguments(nn.Module):
    pass

def function(input_shape, outputs):
    return 5

import_me = 3
"""


def test_own_class(tmp_path: Path) -> None:
    (tmp_path / "own_network.py").write_text(OWN)
    network = build(TABLE, [4], str(tmp_path), type="own_network:Straight", args={"width": 9})
    assert network(torch.zeros(2, 4)).shape == (2, 3)
    assert network.model.layers[1].out_features == 9  # type: ignore[index, union-attr]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("transformer", "no model is called 'transformer'"),
        ("nowhere_to_be_found:Net", "no module 'nowhere_to_be_found'"),
        ("wrong_network:Missing", "has no class 'Missing'"),
        ("wrong_network:import_me", "has no class 'import_me'"),
        ("wrong_network:NoArguments", "can't be built"),
        ("wrong_network:function", "no torch.nn.Module"),
    ],
)
def test_refused(name: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "wrong_network.py").write_text(OWN)
    with pytest.raises(TrainyardError, match=says) as refused:
        build(TABLE, [4], str(tmp_path), type=name)
    assert refused.value.cause == "InvalidModel"
    assert refused.value.remedy


def test_cnn_refuses_tables() -> None:
    with pytest.raises(TrainyardError, match="takes images"):
        build(TABLE, [4], type="cnn")


def test_wrong_output() -> None:
    network = build(TABLE, [4])
    check_output(network, torch.zeros(2, 3), 2, "x:Y")
    for wrong in (torch.zeros(2, 4), torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2), (torch.zeros(2, 3),)):
        with pytest.raises(TrainyardError, match=r"x:Y gives .* where a float tensor \[2, 3\]"):
            check_output(network, wrong, 2, "x:Y")
