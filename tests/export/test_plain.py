"""Networks of one's own, exported from a script."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from trainyard_api.errors import TrainyardError
from trainyard_cli.main import main
from trainyard_storage import open_store
from trainyard_trainer.export import export_network


class Words(nn.Module):
    """A small language model: token numbers [N, T] and a temperature [N] to scores [N, T, 11]."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.look = nn.Linear(8, 8)
        self.head = nn.Linear(8, 11)

    def forward(self, tokens: Tensor, temperature: Tensor) -> Tensor:
        words = self.embed(tokens)
        attention = torch.softmax(self.look(words) @ words.transpose(1, 2), dim=2)
        scores: Tensor = self.head(attention @ words)
        return scores / temperature[:, None, None]


class Noisy(nn.Module):
    """Never says the same twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.layer(x + torch.randn_like(x))
        return answer


class Brighter(nn.Module):
    """A picture of bytes [N, 2, 2], `by` times as bright [N], in bytes again."""

    def forward(self, picture: Tensor, by: Tensor) -> Tensor:
        return (picture.to(torch.float32) * by[:, None, None]).clamp(0, 255).to(torch.uint8)


def test_a_language_model(tmp_path: Path) -> None:
    network = Words().train()
    example = {"tokens": torch.randint(0, 11, (2, 6)), "temperature": torch.ones(2)}
    found = export_network(network, example, open_store(str(tmp_path)), "words")
    assert found["maxDifference"] < 1e-5
    assert network.training, "its mode was changed"
    assert export_network(network, example, open_store(str(tmp_path)), "words") == found
    folder = tmp_path / found["version"]
    code = Path(__file__).name.encode()
    assert not [path.name for path in folder.iterdir() if code in path.read_bytes()], "it tells where code lies"
    tokens, temperature = torch.randint(0, 11, (5, 6)), torch.full((5,), 2.0)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    (answer,) = session.run(["output"], {"tokens": tokens.numpy(), "temperature": temperature.numpy()})
    with torch.no_grad():
        expected = network.eval()(tokens, temperature).numpy()
    np.testing.assert_allclose(answer, expected, atol=1e-5)


def test_what_can_not_be_exported_is_said(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    with pytest.raises(TrainyardError, match=r"x torch.float32 \[1, 3\]"):
        export_network(nn.Linear(3, 2), {"x": torch.zeros(1, 3)}, store, "one-row")
    with pytest.raises(TrainyardError, match=r"answers 2 rows with torch.float32 \[\]"):
        export_network(nn.MSELoss(), {"x": torch.zeros(2, 3), "y": torch.zeros(2, 3)}, store, "scalar")
    with pytest.raises(TrainyardError, match="differs from the network by"):
        export_network(Noisy(), {"x": torch.zeros(2, 3)}, store, "noisy", ["torch"])
    assert not list(tmp_path.iterdir())


def test_predict_gives_tensors_of_every_type(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a CSV cell a tensor is a JSON list; fractions needn't be exact in FP32, whole numbers must fit their type."""
    example = {"picture": torch.zeros(2, 2, 2, dtype=torch.uint8), "by": torch.ones(2)}
    found = export_network(Brighter(), example, open_store(str(tmp_path / "model")), "brighter")
    rows = tmp_path / "rows.csv"
    rows.write_text('picture,by\n"[[10, 20], [30, 200]]",1.3\n"[[1, 2], [3, 4]]",2\n')
    assert main(["predict", found["uri"], "--input", str(rows)]) == 0
    answers = [json.loads(line)["output"] for line in capsys.readouterr().out.splitlines()]
    assert answers == [[[13, 26], [39, 255]], [[2, 4], [6, 8]]]
    for row, said in [
        ('"[[256, 0], [0, 0]]",1', "Column picture, row 1: '[[256, 0], [0, 0]]' is not UINT8 without rounding"),
        ('"[[1, 2], [3, 4]]",1e300', "Column by, row 1: '1e300' is not FP32, which is finite"),
        ('"[[1, 2], [3, 4]]",', "Column by, row 1: None is not FP32, which is finite"),
        ('"[[1, 2], [3, 4]]",much', "Column by, row 1: 'much' is not a number"),
    ]:
        rows.write_text(f"picture,by\n{row}\n")
        assert main(["predict", found["uri"], "--input", str(rows)]) == 2
        assert said in capsys.readouterr().err
