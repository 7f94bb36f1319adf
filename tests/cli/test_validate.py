"""`trainyard validate`."""

from pathlib import Path

import pytest

from support.manifests import RECIPE
from trainyard_cli.main import main


def test_good_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(RECIPE)
    assert main(["validate", str(tmp_path / "a.yaml")]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/a.yaml: valid\n"


def test_every_problem_of_every_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.yaml").write_text(RECIPE + "    model: {hidden: x}\n    train: {epochs: 0}\n")
    (tmp_path / "broken.yaml").write_text("a: [\n")
    (tmp_path / "good.yaml").write_text(RECIPE)
    files = [str(tmp_path / f"{name}.yaml") for name in ("bad", "missing", "good", "broken")]
    assert main(["validate", *files]) == 2
    said = capsys.readouterr()
    assert said.out == f"{tmp_path}/good.yaml: valid\n"
    assert said.err.replace(f"{tmp_path}/", "") == (
        "bad.yaml:8: spec.recipe.model.hidden: 'x' is not a list of at most 64 values\n"
        "  remedy: write a list of at most 64 values (Widths of the hidden layers (mlp), or of the layer before the "
        "output (cnn); [128, 64])\n"
        "bad.yaml:9: spec.recipe.train.epochs: 0 is not a whole number of at least 1\n"
        "  remedy: write a whole number of at least 1 (Passes over the training split; 10)\n"
        "bad.yaml: 2 problems\n"
        "the manifest can't be read: no such file or directory\n  where: missing.yaml\n  remedy: check the path\n"
        "not valid YAML: did not find expected node content while parsing a flow node\n"
        "  where: broken.yaml:2\n"
        "  remedy: check the indentation, and that brackets and quotes are closed\n"
    )


def test_variables_of_the_environment_are_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = RECIPE + "  template: {env: [{name: A, value: 3}, {name: B, valueFrom: {fieldRef: {fieldPath: x}}}]}\n"
    (tmp_path / "a.yaml").write_text(text)
    assert main(["validate", str(tmp_path / "a.yaml")]) == 2
    said = capsys.readouterr().err
    assert "spec.template.env[0].value: 3 is not text" in said
    assert "put it in quotes" in said
    assert "1 problem" in said
