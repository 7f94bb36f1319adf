"""A network that a script exported, served and asked by the real commands: tensors in, tensors out."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton

from support.commands import Ended, plain, trainyard
from support.serving import Served, served

PROGRAM = """
import json
import torch
from pathlib import Path
from trainyard_trainer import current_job

torch.manual_seed(1)
words = torch.nn.Sequential(torch.nn.Embedding(11, 4), torch.nn.Linear(4, 3))
example = torch.tensor([[0, 1, 2], [3, 10, 5]])
uri = current_job().export(words, example)
Path("known.json").write_text(json.dumps([example.tolist(), words(example).tolist(), uri]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `words.py` has run; its run is trainyard-runs/local/words."""
    folder = tmp_path_factory.mktemp("script")
    (folder / "words.py").write_text(PROGRAM)
    subprocess.run([sys.executable, "words.py"], cwd=folder, check=True, timeout=120)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Served]:
    with served(folder / "trainyard-runs/local/words") as server:
        yield server


def known(folder: Path) -> tuple[list[list[int]], list[list[list[float]]], str]:
    """The example, the network's own answer to it, and the URI of the published version."""
    example, answers, uri = json.loads((folder / "known.json").read_text())
    return example, answers, uri


@pytest.mark.parametrize("binary", [True, False])
def test_a_served_network_answers_as_it_did_in_the_script(folder: Path, server: Served, binary: bool) -> None:
    example, answers, uri = known(folder)
    client = triton.InferenceServerClient(server.address)
    metadata = client.get_model_metadata("words")
    assert metadata["versions"] == [uri.rpartition("/")[2]]
    assert metadata["inputs"] == [{"name": "input", "datatype": "INT64", "shape": [-1, 3]}]
    assert metadata["outputs"] == [{"name": "output", "datatype": "FP32", "shape": [-1, 3, 3]}]
    tensor = triton.InferInput("input", [2, 3], "INT64").set_data_from_numpy(np.array(example), binary_data=binary)
    wanted = triton.InferRequestedOutput("output", binary_data=binary)
    found = client.infer("words", [tensor], outputs=[wanted]).as_numpy("output")
    np.testing.assert_allclose(found, answers, atol=1e-6)
    client.close()


def test_a_value_that_the_network_refuses_is_the_clients_error(server: Served) -> None:
    """The network knows 11 words; nothing in the signature says so."""
    client = triton.InferenceServerClient(server.address)
    tensor = triton.InferInput("input", [1, 3], "INT64").set_data_from_numpy(np.array([[0, 1, 99]]))
    with pytest.raises(triton.InferenceServerException, match=r"can't take these values: .*idx=99") as caught:
        client.infer("words", [tensor])
    assert caught.value.status() == "400"
    client.close()


def predict(folder: Path, rows: str, model: str = "trainyard-runs/local/words") -> Ended:
    (folder / "rows.json").write_text(rows)
    return trainyard("predict", model, "--input", "rows.json", folder=folder)


def test_predict_answers_rows_of_json(folder: Path) -> None:
    example, answers, uri = known(folder)
    done = predict(folder, "".join(json.dumps({"input": row}) + "\n" for row in example), uri)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [list(row) for row in found] == [["output"], ["output"]]
    np.testing.assert_allclose([row["output"] for row in found], answers, atol=1e-6)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ('{"input": [1, 2]}', "Column input, row 1: [1, 2] is not of shape [3], but of shape [2]"),
        ('{"input": [1, 2, 2.5]}', "Column input, row 1: [1, 2, 2.5] is not INT64 without rounding"),
        ('{"input": [1, 2, null]}', "Column input, row 1: [1, 2, None] is not an array of numbers of shape [3]"),
        ('{"input": [1, 2, 99]}', "the model can't take these values: indices element out of data bounds"),
        ('{"words": [1, 2, 3]}', "column input is missing; column words is not an input"),
    ],
)
def test_rows_that_do_not_fit_are_named(folder: Path, rows: str, said: str) -> None:
    plain(predict(folder, rows), 2, said)


def test_without_rows_it_is_said_how_to_give_them(folder: Path) -> None:
    plain(trainyard("predict", "trainyard-runs/local/words", folder=folder), 2, "--input FILE")
