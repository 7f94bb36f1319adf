"""Manifests for tests, and what is said about wrong ones."""

from pathlib import Path

import pytest

from trainyard_api.errors import ExitCode, TrainyardError
from trainyard_api.manifest import load_job

HEAD = """\
apiVersion: trainyard.dev/v1alpha1
kind: TrainingJob
metadata:
  name: digits
spec:
"""

RECIPE = HEAD + "  recipe:\n    data: {uri: digits.parquet, target: label}\n"
"""A valid manifest, to be gone on with inside spec.recipe (line 8 on)."""

DESIGN = """\
apiVersion: trainyard.dev/v1alpha1
kind: TrainingJob
metadata: {name: digits, namespace: team-a}
spec:
  nodes: 2
  elastic: {minNodes: 1, maxNodes: 4, shrinkAfterSeconds: 60}
  processesPerNode: auto
  template:
    image: example.org/trainer:1
    resources: {limits: {nvidia.com/gpu: 8}}
    nodeSelector: {}
    tolerations: []
    env: []
    volumes: []
    serviceAccountName: trainer
  storage: {uri: s3://bucket/prefix, endpoint: "https://s3.example.org", region: eu, credentialsSecret: keys}
  recipe:
    data: {uri: s3://bucket/digits/*.parquet, target: label, split: {validation: 0.1, test: 0.2, seed: 7}}
    prepare: {missing: {numeric: median}, scale: standard, categories: onehot, duplicates: drop}
    model: {type: cnn}
    train:
      epochs: 20
      batchSize: 256
      optimizer: {type: adamw, learningRate: 0.001}
      schedule: {type: cosine, warmupSteps: 50}
      precision: bf16
      earlyStopping: {metric: validation/loss, patience: 5}
    evaluate: {metrics: auto}
    export: {formats: [safetensors, onnx, torch]}
  checkpoint: {everySteps: 100, keep: 3}
  recovery: {maxRestarts: 3, nodeLossSeconds: 30, hangSeconds: auto}
  suspend: false
  activeDeadlineSeconds: 86400
  ttlSecondsAfterFinished: 604800
"""
"""The example with every part of the API in it."""


def problems(folder: Path, text: str, overrides: list[str] | None = None, name: str = "job.yaml") -> str:
    """What `load_job` says of a wrong manifest, with the folder's path left out."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TrainyardError) as raised:
        load_job(path, overrides)
    assert raised.value.code == ExitCode.INVALID
    return str(raised.value).replace(f"{folder}/", "")
