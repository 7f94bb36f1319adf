"""What people are told about a wrong manifest: every problem, with file, line, field, value and remedy."""

from pathlib import Path

import pytest

from support.manifests import DESIGN, HEAD, RECIPE, problems
from trainyard_api.manifest import load_job

GOLDEN = {
    "an unknown field": (
        RECIPE + "    train:\n      epoch: 3\n",
        "job.yaml:9: spec.recipe.train.epoch: unknown field, its value is 3\n  remedy: did you mean epochs?",
    ),
    "a field at the wrong place": (
        RECIPE + "    batchSize: 32\n",
        "job.yaml:8: spec.recipe.batchSize: unknown field here, its value is 32\n"
        "  remedy: it belongs to spec.recipe.train.batchSize",
    ),
    "a field that nothing is like": (
        RECIPE + "    export: {zebra: 1}\n",
        "job.yaml:8: spec.recipe.export.zebra: unknown field, its value is 1\n  remedy: remove it; known here: formats",
    ),
    "a word for a number": (
        RECIPE + "    train:\n      epochs: ten\n",
        "job.yaml:9: spec.recipe.train.epochs: 'ten' is not a whole number of at least 1\n"
        "  remedy: write a whole number of at least 1 (Passes over the training split; 10)",
    ),
    "a number beyond all bounds": (
        RECIPE + "    train: {epochs: 99999999999}\n",
        "job.yaml:8: spec.recipe.train.epochs: 99999999999 is not a whole number of at least 1 and at most 2147483647\n"
        "  remedy: write a whole number of at least 1 and at most 2147483647 (Passes over the training split; 10)",
    ),
    "a word that Python takes for a number": (
        RECIPE + "    train: {optimizer: {learningRate: nan}}\n",
        "job.yaml:8: spec.recipe.train.optimizer.learningRate: 'nan' is not a number above 0\n"
        "  remedy: write a number above 0 (Learning rate after the warm-up; 0.001)",
    ),
    "one word for a word or a list": (
        RECIPE + "    evaluate: {metrics: accuracy}\n",
        "job.yaml:8: spec.recipe.evaluate.metrics: 'accuracy' is not 'auto' or a list\n"
        "  remedy: write 'auto' or a list (auto: all that fit the task, or a list of names; auto)",
    ),
    "a number in quotes": (
        RECIPE + "    train: {epochs: '3'}\n",
        "job.yaml:8: spec.recipe.train.epochs: '3' is not a whole number of at least 1\n  remedy: remove the quotes",
    ),
    "a number for text": (
        RECIPE.replace("target: label", "target: 7"),
        "job.yaml:7: spec.recipe.data.target: 7 is not text of 1 to 256 characters\n"
        "  remedy: put it in quotes if it's text: '7'",
    ),
    "a truth value for text": (
        RECIPE.replace("target: label", "target: no"),
        "job.yaml:7: spec.recipe.data.target: false is not text of 1 to 256 characters\n"
        "  remedy: put it in quotes if it's text: 'false'",
    ),
    "a word that isn't known": (
        RECIPE + "    prepare: {scale: standart}\n",
        "job.yaml:8: spec.recipe.prepare.scale: 'standart' is not none, standard, minmax, symmetric or robust\n"
        "  remedy: did you mean standard?",
    ),
    "a number out of bounds": (
        RECIPE + "    model: {dropout: 1.0}\n",
        "job.yaml:8: spec.recipe.model.dropout: 1.0 is not a number of at least 0 and below 1\n"
        "  remedy: write a number of at least 0 and below 1 (Share of activations dropped; 0)",
    ),
    "one of a list": (
        RECIPE + "    model:\n      hidden:\n        - 64\n        - 0\n",
        "job.yaml:11: spec.recipe.model.hidden[1]: 0 is not a whole number of at least 1\n"
        "  remedy: write a whole number of at least 1",
    ),
    "one of a list that may also be a word": (
        RECIPE + "    evaluate: {metrics: [f2]}\n",
        "job.yaml:8: spec.recipe.evaluate.metrics[0]: 'f2' is not 'accuracy', 'precision', 'recall', 'f1', 'rocAuc', "
        "'logLoss', 'confusionMatrix', 'mse', 'mae' or 'r2'\n"
        "  remedy: write 'accuracy', 'precision', 'recall', 'f1', 'rocAuc', 'logLoss', 'confusionMatrix', 'mse', "
        "'mae' or 'r2'",
    ),
    "a word or a number": (
        RECIPE + "  processesPerNode: many\n",
        "job.yaml:8: spec.processesPerNode: 'many' is not auto, or a whole number from 1 to 64\n"
        "  remedy: write auto, or a whole number from 1 to 64 (Processes on each node; auto: the GPUs asked for, "
        "else 1; auto)",
    ),
    "a scalar for a mapping": (
        RECIPE + "    export: onnx\n",
        "job.yaml:8: spec.recipe.export: 'onnx' is not a mapping with formats\n"
        "  remedy: write a mapping with formats (The published model)",
    ),
    "a list for a mapping, on lines of its own": (
        RECIPE + "    export:\n\n      - onnx\n",
        "job.yaml:8: spec.recipe.export: a list of 1 is not a mapping with formats\n"
        "  remedy: write a mapping with formats (The published model)",
    ),
    "nothing after the colon": (
        RECIPE + "    train:\n",
        "job.yaml:8: spec.recipe.train: it has no value, a mapping with epochs, batchSize, optimizer, schedule, "
        "gradientClipNorm, accumulationSteps, ... is wanted\n"
        "  remedy: give a value, or remove the line (The training)",
    ),
    "a missing field": (
        HEAD + "  script:\n    source: code.tar.gz\n",
        "job.yaml:6: spec.script.command: missing\n"
        "  remedy: add command (Program and arguments: [train.py, --epochs, '3'], or [-m, package.module])",
    ),
    "no name": (
        RECIPE.replace("  name: digits", "  namespace: team-a"),
        "job.yaml:3: metadata.name: missing\n  remedy: add name (Name of the job)",
    ),
    "a name that Kubernetes refuses": (
        RECIPE.replace("name: digits", "name: My_Digits"),
        "job.yaml:4: metadata.name: 'My_Digits' is not text of 1 to 58 characters: a-z, 0-9 and -, the first and the "
        "last no -\n"
        "  remedy: write text of 1 to 58 characters: a-z, 0-9 and -, the first and the last no - (Name of the job)",
    ),
    "a key given twice": (
        RECIPE + "    train:\n      epochs: 3\n      batchSize: 8\n      epochs: 4\n",
        "job.yaml:11: spec.recipe.train.epochs: given twice, first at job.yaml:9\n  remedy: keep one of the two",
    ),
    "another kind": (
        "apiVersion: apps/v1\nkind: Deployment\nspec: {}\n",
        "job.yaml:2: kind: 'Deployment' is not a TrainingJob\n  remedy: `trainyard` takes kind: TrainingJob",
    ),
    "no mapping": (
        "- a\n- b\n",
        "job.yaml:1: the manifest: a list of 2 is not a TrainingJob\n"
        "  remedy: begin with `apiVersion: trainyard.dev/v1alpha1` and `kind: TrainingJob`",
    ),
    "another version": (
        RECIPE.replace("v1alpha1", "v1"),
        "job.yaml:1: apiVersion: 'trainyard.dev/v1' is not trainyard.dev/v1alpha1\n"
        "  remedy: did you mean trainyard.dev/v1alpha1?",
    ),
    "an infinite number": (
        RECIPE + "    train: {gradientClipNorm: .inf}\n",
        "job.yaml:8: spec.recipe.train.gradientClipNorm: inf is not a number above 0\n"
        "  remedy: write a number above 0 (Largest norm of the gradient; absent: not clipped)",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_message(name: str, tmp_path: Path) -> None:
    text, message = GOLDEN[name]
    assert problems(tmp_path, text) == f"{message}\njob.yaml: 1 problem"


def test_every_problem_at_once(tmp_path: Path) -> None:
    said = problems(
        tmp_path,
        """\
apiVersion: trainyard.dev/v1alpha1
kind: TrainingJob
metadata: {name: Digits}
spec:
  nodes: 9
  elastic: {minNodes: 1, maxNodes: 4}
  script: {}
  recipe:
    data: {url: x.csv, split: {validation: 0.6, test: 0.6, seed: x}}
    train:
      epochs: 0
      accumulationSteps: 100
      optimizer: {nesterov: true, type: rmsprop}
""",
    )
    places = [line.rpartition(": ")[0] for line in said.splitlines() if line.startswith("job.yaml:")]
    assert [place.split(": ")[:2] for place in places[:-1]] == [
        ["job.yaml:3", "metadata.name"],
        ["job.yaml:5", "spec.nodes"],  # outside elastic
        ["job.yaml:7", "spec.script.command"],  # missing
        ["job.yaml:8", "spec.recipe"],  # and script
        ["job.yaml:9", "spec.recipe.data.split.seed"],
        ["job.yaml:9", "spec.recipe.data.url"],  # uri; that uri is missing isn't said besides
        ["job.yaml:9", "spec.recipe.data.split.validation"],  # with test above 1
        ["job.yaml:11", "spec.recipe.train.epochs"],
        ["job.yaml:12", "spec.recipe.train.accumulationSteps"],  # above batchSize
        ["job.yaml:13", "spec.recipe.train.optimizer.type"],  # nesterov is judged once the type is known
    ]
    assert said.endswith("job.yaml: 10 problems")


@pytest.mark.parametrize(
    "example", sorted(Path(__file__).parents[2].glob("examples/*/*.yaml")), ids=lambda p: p.parent.name
)
def test_examples_are_valid(example: Path) -> None:
    load_job(example)


def test_the_designs_example_is_valid(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(DESIGN)
    job = load_job(tmp_path / "job.yaml")
    assert job.spec.recipe is not None
    assert job.spec.recipe.train.optimizer.learning_rate == 0.001
    assert job.spec.template.resources.limits == {"nvidia.com/gpu": 8}
