"""`trainyard init`: what it makes of data, and what it refuses."""

import json
import random
import re
from pathlib import Path

import polars as pl
import pytest

from trainyard_api.manifest import load_job
from trainyard_api.recipe import Recipe
from trainyard_cli.draft import job_name, quoted
from trainyard_cli.main import main

EXAMPLES = Path(__file__).parents[2] / "examples"


def init(data: Path, target: str | None = None, output: Path | None = None) -> int:
    arguments = ["init", str(data)]
    arguments += ["--target", target] if target else []
    arguments += ["-o", str(output)] if output else []
    return main(arguments)


def written(data: Path, target: str | None = None, output: Path | None = None) -> Recipe:
    """The recipe of the manifest that init writes; `load_job` takes it as it is."""
    assert init(data, target, output) == 0
    recipe = load_job(output or data.parent / "job.yaml").spec.recipe
    assert recipe is not None
    return recipe


@pytest.fixture
def table() -> pl.DataFrame:
    """200 rows with every kind of column, in no order that helps."""
    rng = random.Random(5)
    rows = range(200)
    return pl.DataFrame(
        {
            "id": rng.sample(list(rows), 200),
            "height": [rng.gauss(170, 9) if n % 9 else None for n in rows],
            "rooms": [rng.randint(1, 8) for _ in rows],
            "colour": [rng.choice(["red", "green", "blue"]) for _ in rows],
            "comment": [f"no {rng.random()}" for _ in rows],
            "empty": pl.Series([None] * 200, dtype=pl.String),
            "price": [rng.random() * 100 for _ in rows],
            "grade": [rng.choice("ABC") for _ in rows],
            "sold": [rng.random() < 0.1 for _ in rows],
        }
    )


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_a_table(ending: str, table: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / f"My Houses.{ending}"
    {"csv": table.write_csv, "parquet": table.write_parquet, "jsonl": table.write_ndjson}[ending](data)
    recipe = written(data, "grade")
    assert (recipe.data.uri, recipe.data.target, recipe.data.task) == (data.name, "grade", "multiclass")
    assert sorted(recipe.prepare.drop) == ["comment", "empty", "id"]
    assert recipe.model.type == "mlp"
    assert recipe.data.split.stratify
    assert "multiclass, 200 samples, 5 inputs" in capsys.readouterr().out
    text = (tmp_path / "job.yaml").read_text()
    assert "  name: my-houses\n" in text
    assert re.search(r"- id +# it numbers the rows\n", text)
    assert re.search(r"# 1 columns lack values, most height \(11\.5%\)\n", text)
    assert re.search(r"# 3 classes: [ABC] \(\d+\), ", text)


@pytest.mark.parametrize(("target", "task"), [("sold", "binary"), ("price", "regression"), ("rooms", "multiclass")])
def test_the_task(target: str, task: str, table: pl.DataFrame, tmp_path: Path) -> None:
    table.write_csv(tmp_path / "a.csv")
    recipe = written(tmp_path / "a.csv", target)
    assert recipe.data.task == task
    assert recipe.data.split.stratify == (task != "regression")
    assert ("balance" in (tmp_path / "job.yaml").read_text()) == (target == "sold")


@pytest.mark.parametrize(
    ("data", "target", "task", "model", "drop"),
    [
        ("breast-cancer/breast_cancer.csv", "diagnosis", "binary", "mlp", ["patient"]),
        ("diabetes/diabetes.csv", "progression", "regression", "mlp", []),
        ("digits/digits.parquet", "label", "multiclass", "cnn", []),
        ("images", None, "multiclass", "cnn", []),
    ],
)
def test_the_examples_data(
    data: str, target: str | None, task: str, model: str, drop: list[str], tmp_path: Path
) -> None:
    recipe = written(EXAMPLES / data, target, tmp_path / "job.yaml")
    assert (recipe.data.task, recipe.model.type, recipe.prepare.drop) == (task, model, drop)
    assert recipe.data.uri is not None
    assert (tmp_path / recipe.data.uri).resolve() == EXAMPLES / data


def test_an_image_folders_manifest_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "photos").symlink_to(EXAMPLES / "images")
    for label in ("cat", "dog"):
        (tmp_path / "pets" / label).mkdir(parents=True)
        (tmp_path / "pets" / label / "a.png").write_bytes((EXAMPLES / "images/0/00.png").read_bytes())
    recipe = written(tmp_path / "pets")
    assert (recipe.data.uri, recipe.data.format, recipe.data.target, recipe.data.task) == (
        "pets",
        "images",
        None,
        "binary",
    )
    assert not recipe.data.split.stratify  # one image of each


def test_more_rows_than_are_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pl.DataFrame({"x": pl.Series(range(400_000)) % 977, "y": pl.Series(range(400_000)) % 2}).write_parquet(
        tmp_path / "a.parquet", row_group_size=50_000
    )
    recipe = written(tmp_path / "a.parquet", "y")
    assert recipe.train.batch_size == 1024
    assert " samples and more" in capsys.readouterr().out


ERRORS = {
    "a misspelt target": (
        "a,b,klass\n1,2,x\n3,4,y\n",
        "klas",
        "there is no column 'klas'\n  where: file://{data}\n"
        "  remedy: did you mean klass? the columns are a, b, klass\n",
    ),
    "no target": (
        "a,b,klass\n1,2,x\n3,4,y\n",
        None,
        "it isn't said which column to predict\n  where: file://{data}\n"
        "  remedy: add --target COLUMN; the columns are a, b, klass\n",
    ),
    "one class": (
        "a,klass\n1,x\n3,x\n",
        "klass",
        "the target 'klass' is x in every row\n  where: file://{data}\n"
        "  remedy: there is nothing to learn: name another --target, or add data\n",
    ),
    "nothing to learn from": (
        "klass,empty\nx,\ny,\n",
        "klass",
        "there is no column to learn klass from\n  where: file://{data}\n  remedy: empty: it is empty\n",
    ),
    "a target without values": (
        "a,klass\n1,\n2,\n",
        "klass",
        "the target 'klass' has no values\n",
    ),
    "an amount that is always the same": (
        "a,klass\n1,2.5\n2,2.5\n",
        "klass",
        "the target 'klass' is 2.5 in every row\n",
    ),
    "a header only": ("a,klass\n", "klass", "the data has no rows\n"),
    "an empty file": ("", "klass", "The data is empty"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_and_no_manifest(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, target, message = ERRORS[name]
    data = tmp_path / "data.csv"
    data.write_text(text)
    assert init(data, target) == 2
    assert capsys.readouterr().err.startswith(message.format(data=data))
    assert not (tmp_path / "job.yaml").exists()


def test_a_manifest_that_is_there_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,x\n2,y\n")
    (tmp_path / "job.yaml").write_text("mine")
    assert init(tmp_path / "a.csv", "b") == 2
    assert (tmp_path / "job.yaml").read_text() == "mine"
    assert capsys.readouterr().err == (
        f"the manifest is there already\n  where: {tmp_path}/job.yaml\n"
        "  remedy: remove it, or name another file with -o FILE\n"
    )


def test_a_target_for_images_and_data_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(EXAMPLES / "images", "label", tmp_path / "a.yaml") == 2
    assert "the class of an image is the name of its folder" in capsys.readouterr().err
    assert init(tmp_path / "no.csv", "label") == 2
    assert capsys.readouterr().err == (
        f"there is no such file or folder\n  where: {tmp_path}/no.csv\n  remedy: check DATA\n"
    )
    (tmp_path / "a.csv").write_text("a,b\n1,x\n2,y\n")
    assert init(tmp_path / "a.csv", "b", tmp_path / "no/folder.yaml") == 2
    assert "the manifest can't be written: no such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["1e-3", "yes", "a: b", "a #b", "é", "-", "x\ny", 'say "x"', "null", "{a}", " a", "2026-01-01", "*"]
)
def test_columns_of_any_name(name: str, tmp_path: Path) -> None:
    rows = [{name: n % 3, "other": n, "text": "ab"[n % 2]} for n in range(30)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert written(tmp_path / "a.jsonl", name).data.target == name


def test_names() -> None:
    assert job_name("My Houses (2).csv") == "my-houses-2"
    assert job_name("données.jsonl") == "donn-es"
    assert job_name("***") == "job"
    assert job_name("a" * 51 + "-b" * 9) == "a" * 51
    assert quoted("plain_1.csv") == "plain_1.csv"
    assert quoted("off") == '"off"'
