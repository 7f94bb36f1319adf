"""What docs/ shows is run as it stands there: manifests, programs, and commands."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from support.serving import served

DOCS = Path(__file__).parents[2] / "docs"
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "OMP_NUM_THREADS": "1",
    "TRAINYARD_METRICS_PORT": "0",
}


def blocks(document: str, language: str) -> list[str]:
    """The code of `language` in docs/<document>, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / document).read_text(), re.DOTALL | re.MULTILINE)


def shell(command: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-euc", command], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def readings(folder: Path) -> None:
    """A small regression: load = heat - wind."""
    draw = random.Random(3)
    rows = [(draw.gauss(0, 1), draw.gauss(0, 1)) for _ in range(300)]
    lines = [f"{heat:.3f},{wind:.3f},{heat - wind:.3f}" for heat, wind in rows]
    (folder / "readings.csv").write_text("\n".join(["heat,wind,load", *lines, ""]))


def test_a_program_of_ones_own(tmp_path: Path) -> None:
    readings(tmp_path)
    (manifest,) = blocks("script.md", "yaml")
    (program,) = blocks("script.md", "python")
    (tmp_path / "job.yaml").write_text(manifest)
    (tmp_path / "train.py").write_text(program)
    said = shell("trainyard run job.yaml", tmp_path)

    (run,) = (tmp_path / "trainyard-runs" / "default" / "readings").iterdir()
    losses = [json.loads(line)["loss"] for line in (run / "history.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.1 < losses[0]
    published = run / "model" / json.loads((run / "PUBLISHED.json").read_text())["version"]
    assert f"done file://{published}" in said
    assert (published / "model.onnx").exists()
    assert list(run.glob("checkpoints/*/*/COMMITTED"))


def test_a_network_of_ones_own(tmp_path: Path) -> None:
    readings(tmp_path)
    (manifest,) = blocks("models.md", "yaml")
    network, use = blocks("models.md", "python")
    (tmp_path / "job.yaml").write_text(manifest)
    (tmp_path / "nets.py").write_text(network)
    shell("trainyard run job.yaml", tmp_path)

    (model,) = tmp_path.glob("trainyard-runs/default/readings/*/model/*")
    shutil.copytree(model, tmp_path / "model")
    (tmp_path / "use.py").write_text(use)
    width = yaml.safe_load(manifest)["spec"]["recipe"]["model"]["args"]["width"]
    weights = 3 * width + 2 * width + 2 * (width * width + width) + width + 1
    assert shell("python use.py", tmp_path) == f"{weights} weights\n"


@pytest.fixture(scope="module")
def customers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `trainyard run` has published the model of docs/serving.md."""
    folder = tmp_path_factory.mktemp("customers")
    draw = random.Random(4)
    lines = ["age,plan,churned"]
    for number in range(200):
        plan = draw.choice(["basic", "plus", "pro"])
        age = "" if number % 20 == 0 else str(draw.randint(18, 80))
        lines.append(f"{age},{plan if number % 20 != 7 else ''},{'yes' if plan == 'basic' else 'no'}")
    (folder / "customers.csv").write_text("\n".join([*lines, ""]))
    shell("trainyard init customers.csv --target churned", folder)
    shell("trainyard run job.yaml --set spec.recipe.train.epochs=15", folder)
    return folder


def test_serving(customers: Path) -> None:
    start, metadata, ask, operation = blocks("serving.md", "sh")
    (program,) = blocks("serving.md", "python")
    (shown,) = blocks("serving.md", "json")
    assert re.fullmatch(r"trainyard serve \S+ --port 8080\n", start)
    with served(customers / start.split()[2]) as server:

        def say(command: str) -> str:
            return shell(command.replace("localhost:8080", server.address), customers)

        described = json.loads(say(metadata))
        assert [(one["name"], one["datatype"]) for one in described["inputs"]] == [("age", "FP64"), ("plan", "BYTES")]

        answer, example = json.loads(say(ask)), json.loads(shown)
        assert answer.keys() == example.keys()
        for output, like in zip(answer["outputs"], example["outputs"], strict=True):
            assert {**output, "data": None} == {**like, "data": None}
        assert answer["outputs"][0]["data"] == example["outputs"][0]["data"]

        (customers / "ask.py").write_text(program.replace("localhost:8080", server.address))
        assert re.fullmatch(r"yes 0\.\d+\n", shell("python ask.py", customers))

        live, ready, metrics = say(operation).split("}", 2)
        assert (live, ready) == ('{"live":true', '{"ready":true')
        assert 'trainyard_server_requests_total{code="200",route="infer"} 2.0' in metrics

        refused = say('curl -s localhost:8080/v2/models/customers/infer -d \'{"inputs": [{"name": "plan"}]}\'')
        said = re.search(r"A body `(\{.*?\})`", (DOCS / "serving.md").read_text())
        assert said
        assert json.loads(refused) == json.loads(said[1])
        assert server.end() == 0
