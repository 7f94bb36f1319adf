"""What must hold between several fields. Each rule is written twice: in Python, and in CEL for the API server.

In CEL a field that is absent has no value, so each rule names the default again. A rule with empty CEL is left to
Python: the API server can't look into a field that takes anything, or words and lists alike.
"""

import re
from typing import Any

from trainyard_api.base import Rule

TABLE = "[.](csv|parquet|jsonl|ndjson)$"  # names of files that hold a table

_REGRESSION = frozenset({"mse", "mae", "r2"})


def _is_table(data: Any) -> bool:
    if data.format != "auto":
        return data.format in ("csv", "parquet", "jsonl")
    uri = data.uri or (data.splits.train if data.splits else "")
    return re.search(TABLE, uri) is not None


def _fit(task: str, metrics: list[str]) -> bool:
    return task == "auto" or all((metric in _REGRESSION) == (task == "regression") for metric in metrics)


def _has_validation(data: Any) -> bool:
    return data.splits.validation is not None if data.splits else data.split.validation > 0


ELASTIC = (
    Rule(
        ("minNodes", "maxNodes"),
        lambda elastic: elastic.min_nodes <= elastic.max_nodes,
        "(has(self.minNodes) ? self.minNodes : 1) <= self.maxNodes",
        "minNodes is above maxNodes",
        "lower minNodes, or raise maxNodes",
    ),
)

JOB_SPEC = (
    Rule(
        ("recipe", "script"),
        lambda spec: (spec.recipe is None) != (spec.script is None),
        "has(self.recipe) != has(self.script)",
        "exactly one of recipe and script must be given",
        "give recipe for the built-in life cycle, or script for a program of your own",
    ),
    Rule(
        ("nodes", "elastic.minNodes", "elastic.maxNodes"),
        lambda spec: spec.elastic is None or spec.elastic.min_nodes <= spec.nodes <= spec.elastic.max_nodes,
        "!has(self.elastic) || ((has(self.elastic.minNodes) ? self.elastic.minNodes : 1) <= self.nodes"
        " && self.nodes <= self.elastic.maxNodes)",
        "nodes is outside the bounds of elastic",
        "choose minNodes <= nodes <= maxNodes (nodes and minNodes are 1 if absent)",
    ),
)

SPLIT = (
    Rule(
        ("validation", "test"),
        lambda split: split.validation + split.test < 1,
        "(has(self.validation) ? double(self.validation) : 0.1) + (has(self.test) ? double(self.test) : 0.2) < 1.0",
        "the shares of validation and test leave nothing to train on",
        "together they must be below 1 (validation is 0.1 and test is 0.2 if absent)",
    ),
    Rule(
        ("stratify", "key"),
        lambda split: not (split.stratify and split.key),
        "!has(self.key) || !has(self.stratify) || !self.stratify",
        "stratify and key exclude each other: a key's rows go where its hash says",
        "remove one of the two",
    ),
)

DATA = (
    Rule(
        ("uri", "splits"),
        lambda data: bool(data.uri) != bool(data.splits),
        "has(self.uri) != has(self.splits)",
        "exactly one of uri and splits must be given",
        "give uri for one data set that is to be divided, or splits for sets that exist",
    ),
    Rule(
        ("split.key", "target"),
        lambda data: not data.target or data.split.key != data.target,
        "!has(self.target) || !has(self.split) || !has(self.split.key) || self.split.key != self.target",
        "the key of the split is the target: every class would lie in one split only",
        "choose another column as key, or remove it",
    ),
    Rule(
        ("split.stratify", "task"),
        lambda data: not (data.split.stratify and data.task == "regression"),
        "!has(self.task) || self.task != 'regression' || !has(self.split) || !has(self.split.stratify)"
        " || !self.split.stratify",
        "stratify needs classes, the task is regression",
        "remove stratify",
    ),
)

OUTLIERS = (
    Rule(
        ("factor", "action", "method"),
        lambda outliers: outliers.method != "none" or not (outliers.factor or outliers.action == "drop"),
        "(has(self.method) && self.method != 'none') || !(has(self.factor) || (has(self.action) && "
        "self.action == 'drop'))",
        "outliers without a method do nothing",
        "add method: iqr or method: zscore",
    ),
)

MODEL_SPEC = (
    Rule(
        ("args", "type"),
        lambda model: not model.args or ":" in model.type,
        "",
        "args are for a class of your own",
        "set type to module:Class, or use the fields of the built-in models",
    ),
)

OPTIMIZER = (
    Rule(
        ("momentum", "type"),
        lambda optimizer: optimizer.momentum == 0 or optimizer.type == "sgd",
        "!has(self.momentum) || double(self.momentum) == 0.0 || (has(self.type) && self.type == 'sgd')",
        "only sgd takes momentum",
        "set type: sgd, or use beta1 of adam and adamw",
    ),
    Rule(
        ("nesterov", "momentum", "type"),
        lambda optimizer: not optimizer.nesterov or (optimizer.type == "sgd" and optimizer.momentum > 0),
        "!has(self.nesterov) || !self.nesterov || (has(self.type) && self.type == 'sgd' && has(self.momentum)"
        " && double(self.momentum) > 0.0)",
        "nesterov needs sgd with momentum above 0",
        "set type: sgd and momentum: 0.9, or remove nesterov",
    ),
)

TRAIN = (
    Rule(
        ("accumulationSteps", "batchSize"),
        lambda train: train.accumulation_steps <= train.batch_size,
        "(has(self.accumulationSteps) ? self.accumulationSteps : 1) <= (has(self.batchSize) ? self.batchSize : 64)",
        "a batch can't be computed in more parts than it has samples",
        "raise batchSize (64 if absent), or lower accumulationSteps",
    ),
    Rule(
        ("schedule.minLearningRate", "optimizer.learningRate"),
        lambda train: train.schedule.min_learning_rate <= train.optimizer.learning_rate,
        "!has(self.schedule) || !has(self.schedule.minLearningRate) || double(self.schedule.minLearningRate) <= "
        "(has(self.optimizer) && has(self.optimizer.learningRate) ? double(self.optimizer.learningRate) : 0.001)",
        "the schedule would end above the learning rate it begins with",
        "lower minLearningRate, or raise learningRate (0.001 if absent)",
    ),
)

RECIPE = (
    Rule(
        ("data.target", "data.format", "data.uri", "data.splits.train"),
        lambda recipe: bool(recipe.data.target) or not _is_table(recipe.data),
        "has(self.data.target) || (has(self.data.format) && self.data.format != 'auto'"
        " ? !(self.data.format in ['csv', 'parquet', 'jsonl'])"
        f" : !((has(self.data.uri) ? self.data.uri : has(self.data.splits) ? self.data.splits.train : '')"
        f".matches('{TABLE}')))",
        "a table needs a target: the column to predict",
        "add target: COLUMN",
    ),
    Rule(
        ("prepare.drop", "data.target"),
        lambda recipe: recipe.data.target not in recipe.prepare.drop,
        "!has(self.data.target) || !has(self.prepare) || !has(self.prepare.drop)"
        " || !(self.data.target in self.prepare.drop)",
        "the target is among the columns to leave out",
        "remove it from drop; the target is never an input",
    ),
    Rule(
        ("prepare.balance", "data.task"),
        lambda recipe: recipe.prepare.balance == "none" or recipe.data.task != "regression",
        "!has(self.prepare) || !has(self.prepare.balance) || self.prepare.balance == 'none'"
        " || !has(self.data.task) || self.data.task != 'regression'",
        "balance needs classes, the task is regression",
        "remove balance",
    ),
    Rule(
        ("evaluate.metrics", "data.task"),
        lambda recipe: recipe.evaluate.metrics == "auto" or _fit(recipe.data.task, recipe.evaluate.metrics),
        "",
        "some of these metrics say nothing about the task",
        "mse, mae and r2 are for regression, all others for binary and multiclass; or write metrics: auto",
    ),
    Rule(
        ("train.earlyStopping.metric", "data.task"),
        lambda recipe: (
            recipe.train.early_stopping is None
            or recipe.train.early_stopping.metric == "validation/loss"
            or _fit(recipe.data.task, [recipe.train.early_stopping.metric.removeprefix("validation/")])
        ),
        "!has(self.train) || !has(self.train.earlyStopping) || !has(self.train.earlyStopping.metric)"
        " || self.train.earlyStopping.metric == 'validation/loss' || !has(self.data.task)"
        " || self.data.task == 'auto'"
        " || (self.data.task == 'regression')"
        " == (self.train.earlyStopping.metric in ['validation/mse', 'validation/mae', 'validation/r2'])",
        "early stopping watches a metric that says nothing about the task",
        "watch validation/loss, which every task has",
    ),
    Rule(
        ("train.earlyStopping", "data.split.validation", "data.splits.validation"),
        lambda recipe: recipe.train.early_stopping is None or _has_validation(recipe.data),
        "!has(self.train) || !has(self.train.earlyStopping) || (has(self.data.splits)"
        " ? has(self.data.splits.validation) : !has(self.data.split) || !has(self.data.split.validation)"
        " || double(self.data.split.validation) > 0.0)",
        "early stopping needs validation data",
        "set data.split.validation above 0, or give data.splits.validation",
    ),
)
