"""Manifests that break each rule between fields once, with what is said of them; and some that just keep them."""

from support.manifests import HEAD, RECIPE

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
