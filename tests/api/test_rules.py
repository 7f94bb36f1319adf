"""The rules between fields: each is broken once, and each reads no more than the fields it names."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from support.manifests import HEAD, RECIPE, problems
from trainyard_api import rules
from trainyard_api.base import Model, Rule
from trainyard_api.check import _built, _submodels
from trainyard_api.job import TrainingJob
from trainyard_api.manifest import load_job

BROKEN = {
    "neither recipe nor script": (HEAD + "  nodes: 1\n", "job.yaml:5: spec: exactly one of recipe and script"),
    "recipe and script": (RECIPE + "  script: {command: [a]}\n", "job.yaml:6: spec.recipe: exactly one of recipe and"),
    "nodes above elastic": (
        RECIPE + "  nodes: 5\n  elastic: {maxNodes: 4}\n",
        "job.yaml:8: spec.nodes: nodes is outside the bounds of elastic (nodes: 5, maxNodes: 4)",
    ),
    "elastic upside down": (
        RECIPE + "  elastic: {minNodes: 4, maxNodes: 3}\n",
        "job.yaml:8: spec.elastic.minNodes: minNodes is above maxNodes (minNodes: 4, maxNodes: 3)",
    ),
    "neither uri nor splits": (
        HEAD + "  recipe:\n    data: {target: label}\n",
        "job.yaml:7: spec.recipe.data: exactly one of uri and splits must be given",
    ),
    "uri and splits": (
        RECIPE.replace("target:", "splits: {train: a}, target:"),
        "job.yaml:7: spec.recipe.data.uri: exactly one of uri and splits must be given (uri: 'digits.parquet', splits: "
        "a mapping (train))",
    ),
    "no target for a table": (
        RECIPE.replace(", target: label", ""),
        "job.yaml:7: spec.recipe.data.uri: a table needs a target: the column to predict (uri: 'digits.parquet')",
    ),
    "no target for a table by format": (
        RECIPE.replace("digits.parquet, target: label", "x, format: csv"),
        "job.yaml:7: spec.recipe.data.format: a table needs a target",
    ),
    "no target for given tables": (
        RECIPE.replace("uri: digits.parquet, target: label", "splits: {train: a.csv}"),
        "job.yaml:7: spec.recipe.data.splits.train: a table needs a target",
    ),
    "the target left out": (
        RECIPE + "    prepare: {drop: [a, label]}\n",
        "job.yaml:8: spec.recipe.prepare.drop: the target is among the columns to leave out (drop: a list of 2",
    ),
    "the target as key": (
        RECIPE.replace("label}", "label, split: {key: label}}"),
        "job.yaml:7: spec.recipe.data.split.key: the key of the split is the target",
    ),
    "stratified by key": (
        RECIPE.replace("label}", "label, split: {key: who, stratify: true}}"),
        "job.yaml:7: spec.recipe.data.split.stratify: stratify and key exclude each other",
    ),
    "a stratified regression": (
        RECIPE.replace("label}", "label, task: regression, split: {stratify: true}}"),
        "job.yaml:7: spec.recipe.data.split.stratify: stratify needs classes, the task is regression",
    ),
    "a balanced regression": (
        RECIPE.replace("label}", "label, task: regression}") + "    prepare: {balance: oversample}\n",
        "job.yaml:8: spec.recipe.prepare.balance: balance needs classes, the task is regression",
    ),
    "shares that leave nothing": (
        RECIPE.replace("label}", "label, split: {validation: 0.8}}"),
        "job.yaml:7: spec.recipe.data.split.validation: the shares of validation and test leave nothing to train on",
    ),
    "outliers without method": (
        RECIPE + "    prepare: {outliers: {factor: 3}}\n",
        "job.yaml:8: spec.recipe.prepare.outliers.factor: outliers without a method do nothing (factor: 3)",
    ),
    "args of a built-in model": (
        RECIPE + "    model: {type: mlp, args: {width: 3}}\n",
        "job.yaml:8: spec.recipe.model.args: args are for a class of your own (args: a mapping (width), type: 'mlp')",
    ),
    "momentum for adamw": (
        RECIPE + "    train: {optimizer: {momentum: 0.9}}\n",
        "job.yaml:8: spec.recipe.train.optimizer.momentum: only sgd takes momentum (momentum: 0.9)",
    ),
    "nesterov without momentum": (
        RECIPE + "    train: {optimizer: {type: sgd, nesterov: true}}\n",
        "job.yaml:8: spec.recipe.train.optimizer.nesterov: nesterov needs sgd with momentum above 0 (nesterov: true, "
        "type: 'sgd')",
    ),
    "more parts than samples": (
        RECIPE + "    train: {batchSize: 8, accumulationSteps: 9}\n",
        "job.yaml:8: spec.recipe.train.accumulationSteps: a batch can't be computed in more parts than it has samples",
    ),
    "a schedule that rises": (
        RECIPE + "    train: {schedule: {type: cosine, minLearningRate: 0.1}}\n",
        "job.yaml:8: spec.recipe.train.schedule.minLearningRate: the schedule would end above the learning rate",
    ),
    "early stopping without validation": (
        RECIPE.replace("label}", "label, split: {validation: 0}}") + "    train: {earlyStopping: {patience: 3}}\n",
        "job.yaml:8: spec.recipe.train.earlyStopping: early stopping needs validation data",
    ),
    "early stopping without a given validation split": (
        RECIPE.replace("uri: digits.parquet", "splits: {train: a}") + "    train: {earlyStopping: {patience: 3}}\n",
        "job.yaml:8: spec.recipe.train.earlyStopping: early stopping needs validation data",
    ),
    "early stopping by accuracy of a regression": (
        RECIPE.replace("label}", "label, task: regression}")
        + "    train: {earlyStopping: {metric: validation/accuracy}}\n",
        "job.yaml:8: spec.recipe.train.earlyStopping.metric: early stopping watches a metric that says nothing",
    ),
    "accuracy of a regression": (
        RECIPE.replace("label}", "label, task: regression}") + "    evaluate: {metrics: [r2, accuracy]}\n",
        "job.yaml:8: spec.recipe.evaluate.metrics: some of these metrics say nothing about the task",
    ),
}

KEPT = {
    "splits without target": RECIPE.replace("uri: digits.parquet, target: label", "splits: {train: a.tar}"),
    "elastic around nodes": RECIPE + "  nodes: 2\n  elastic: {maxNodes: 2}\n",
    "momentum 0 for adamw": RECIPE + "    train: {optimizer: {momentum: 0}}\n",
    "nesterov": RECIPE + "    train: {optimizer: {type: sgd, momentum: 0.9, nesterov: true}}\n",
    "a class with args": RECIPE + "    model: {type: 'nets:Wide', args: {width: 3}}\n",
    "r2 of a regression": RECIPE.replace("label}", "label, task: regression}")
    + "    train: {earlyStopping: {metric: validation/r2}}\n    evaluate: {metrics: [mse, r2]}\n",
    "as many parts as samples": RECIPE + "    train: {batchSize: 8, accumulationSteps: 8}\n",
    "null is absent": RECIPE + "    train: {earlyStopping: null, gradientClipNorm: null}\n  script: null\n",
    "shares just below one": RECIPE.replace("label}", "label, split: {validation: 0.79}}"),
    "a script's data needs no target": HEAD + "  script: {command: [a], data: {uri: a.csv}}\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken(name: str, tmp_path: Path) -> None:
    text, message = BROKEN[name]
    said = problems(tmp_path, text)
    assert said.startswith(message)
    # No number of nodes lies within bounds that are upside down.
    assert said.endswith("job.yaml: 2 problems" if name == "elastic upside down" else "job.yaml: 1 problem")


@pytest.mark.parametrize("name", KEPT)
def test_kept(name: str, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(KEPT[name])
    load_job(tmp_path / "job.yaml")


def test_every_rule_is_broken_by_a_case_above() -> None:
    messages = [message for _, message in BROKEN.values()]
    written = [rule for value in vars(rules).values() if isinstance(value, tuple) for rule in value]
    assert len(written) >= 15
    for rule in written:
        assert any(rule.message[:30] in message for message in messages), rule.message


def _models(model: type[Model]) -> Iterator[type[Model]]:
    yield model
    for field in model.model_fields.values():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, Model):
                yield from _models(kind)


RULED = [(model, rule) for model in dict.fromkeys(_models(TrainingJob)) for rule in model.rules]


class Recorder:
    """Stands in for a value, and notes which of its fields are read."""

    def __init__(self, value: Any, path: tuple[str, ...], read: set[str]) -> None:
        self._value, self._path, self._read = value, path, read

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._value, name)
        path = (*self._path, str(type(self._value).model_fields[name].alias))
        self._read.add(".".join(path))
        return Recorder(value, path, self._read) if isinstance(value, Model) else value


@pytest.mark.parametrize(("model", "rule"), RULED, ids=lambda value: getattr(value, "__name__", ""))
def test_a_rule_reads_the_fields_it_names(model: type[Model], rule: Rule) -> None:
    read: set[str] = set()
    for text in [text for text, _ in BROKEN.values()] + list(KEPT.values()):
        for value in _values(text, model):
            rule.holds(Recorder(value, (), read))
    inner = {name for name in read if not any(other.startswith(f"{name}.") for other in read | set(rule.fields))}
    assert inner <= set(rule.fields)


def _values(text: str, wanted: type[Model]) -> list[Model]:
    """The values of one type in a manifest, built without checks: broken rules are wanted here."""
    found: list[Model] = []

    def walk(model: type[Model], value: dict[str, Any]) -> None:
        if model is wanted:
            found.append(_built(model, value, (), set()))
        for name, inner in _submodels(model):
            if isinstance(value.get(name), dict):
                walk(inner, value[name])

    walk(TrainingJob, yaml.safe_load(text))
    return found
