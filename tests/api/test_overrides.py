"""`--set path=value`."""

from pathlib import Path

import pytest

from support.manifests import RECIPE, problems
from trainyard_api.manifest import load_job


def test_values_are_typed_as_yaml(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(RECIPE + "    train: {epochs: 1, earlyStopping: {patience: 2}}\n")
    job = load_job(
        tmp_path / "job.yaml",
        [
            "spec.recipe.train.epochs=3",
            "spec.recipe.train.optimizer.learningRate=1e-3",
            "spec.recipe.train.earlyStopping=null",
            "spec.recipe.model.hidden=[8, 4]",
            "spec.recipe.data.uri=a=b.csv",
            "spec.suspend=true",
            "metadata.name=other",
        ],
    )
    recipe = job.spec.recipe
    assert recipe is not None
    assert (recipe.train.epochs, recipe.train.optimizer.learning_rate, recipe.train.early_stopping) == (3, 0.001, None)
    assert (recipe.model.hidden, recipe.data.uri, job.spec.suspend, job.metadata.name) == (
        [8, 4],
        "a=b.csv",
        True,
        "other",
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "spec.recipe.train.epoch=3",
            "--set spec.recipe.train.epoch=3: spec.recipe.train.epoch: unknown field, its value is 3\n"
            "  remedy: did you mean epochs?",
        ),
        (
            "recipe.train.epochs=3",
            "--set recipe.train.epochs=3: recipe: unknown field here, its value is a mapping (train)\n"
            "  remedy: it belongs to spec.recipe",
        ),
        (
            "spec.recipe.train.epochs=ten",
            "--set spec.recipe.train.epochs=ten: spec.recipe.train.epochs: 'ten' is not a whole number of at least 1",
        ),
        (
            "spec.recipe.data.target=",
            "--set spec.recipe.data.target=: spec.recipe.data.target: a table needs a target",
        ),
        ("epochs", "--set epochs: the manifest: not path=value\n  remedy: write --set spec.recipe.train.epochs=3"),
        ("=3", "--set =3: the manifest: not path=value"),
        ("spec..nodes=3", "--set spec..nodes=3: the manifest: not path=value"),
        (
            "spec.recipe.data.uri.x=3",
            "--set spec.recipe.data.uri.x=3: spec.recipe.data.uri.x: spec.recipe.data.uri is 'digits.parquet', "
            "it has no fields\n  remedy: set spec.recipe.data.uri as a whole",
        ),
        (
            "spec.recipe.model.hidden=[3",
            "--set spec.recipe.model.hidden=[3: spec.recipe.model.hidden: the value isn't valid YAML: did not find "
            "expected ',' or ']'\n  remedy: quote it for the shell",
        ),
    ],
)
def test_message(override: str, message: str, tmp_path: Path) -> None:
    said = problems(tmp_path, RECIPE, [override])
    assert said.startswith(message)
    assert said.endswith("job.yaml: 1 problem")


def test_file_and_overrides_are_judged_together(tmp_path: Path) -> None:
    said = problems(tmp_path, RECIPE + "    train: {epochs: 0}\n", ["spec.nodes=0", "x"])
    assert [line.split(": ")[0] for line in said.splitlines()[::2]] == [
        "job.yaml:8",
        "--set spec.nodes=0",
        "--set x",
        "job.yaml",
    ]


def test_what_an_override_replaces_is_no_longer_the_files(tmp_path: Path) -> None:
    said = problems(tmp_path, RECIPE + "    train:\n      epochs: 3\n", ["spec.recipe.train={epochs: 0}"])
    assert said.startswith("--set spec.recipe.train={epochs: 0}: spec.recipe.train.epochs: 0 is not a whole number")
