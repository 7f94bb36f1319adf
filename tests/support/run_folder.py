"""A run's folder as the stages leave it, made without running them: for tests of what reads it."""

import json
import math
from typing import Any

from trainyard_api.documents import DataCard, ResolvedJob
from trainyard_launcher.machine import this_machine
from trainyard_storage import Store

NASTY = "<script>alert('class')</script>"
CLASSES = [*"012345678", NASTY]


def fill_run(run: Store, *, epochs: int = 20, finished: bool = True) -> None:
    """Write the documents of a run of `epochs` epochs; unless `finished`, as they are while it still trains."""
    run.put_json("job.json", _job())
    run.put_json("machine.json", this_machine().model_dump(mode="json"))
    run.put_json("times.json", {"prepare": 2.0, "train": 21.5})
    run.put_json("data/COMMITTED", {"hash": "abc"})
    run.put_json("data/abc/card.json", _card())
    write_history(run, epochs)
    run.put("checkpoints/step-00001200/u/part-0000", bytes(1_500_000))
    run.put_json("checkpoints/step-00001200/u/COMMITTED", {"step": 1200, "attempt": 1})
    if not finished:
        return
    run.put_json("evaluation.json", _evaluation())
    run.put_json(
        "trained/TRAINED.json",
        {
            "step": 1840, "epoch": 20, "bestEpoch": 9, "stoppedEarly": False, "seconds": 14.2, "world": 2,
            "weightsDigest": "0" * 16,
            "samplesPerSecond": 6120.5,
        },
    )  # fmt: skip
    run.put_json("times.json", {"prepare": 2.0, "train": 21.5, "publish": 8.25})
    uri = run.url("model/0123456789ab")
    run.put_json("PUBLISHED.json", {"version": "0123456789ab", "uri": uri, "maxDifference": 2.1e-7, "metrics": {}})


def write_history(run: Store, epochs: int) -> None:
    """history.jsonl of a network that overfits after epoch 9."""
    lines = [json.dumps(_epoch(epoch)) for epoch in range(1, epochs + 1)]
    run.put("history.jsonl", "".join(f"{line}\n" for line in lines).encode())


def _epoch(epoch: int) -> dict[str, Any]:
    validation = 0.9 * math.exp(-epoch / 3) + 0.08 + 0.006 * max(0, epoch - 9)
    return {
        "epoch": epoch, "step": epoch * 92, "time": "2026-01-01T00:00:00Z", "seconds": 0.7, "learningRate": 0.001,
        "samplesPerSecond": 6100.0, "train/loss": 1.1 * math.exp(-epoch / 3) + 0.01,
        "validation/loss": validation, "validation/accuracy": 1 - validation / 4,
    }  # fmt: skip


def _job() -> dict[str, Any]:
    spec = {
        "recipe": {
            "data": {"uri": "file:///data/digits.parquet", "target": "label"},
            "model": {"type": "cnn", "channels": [16, 32]},
            "train": {"epochs": 20, "batchSize": 64},
        },
    }
    job = ResolvedJob.model_validate({"name": "digits", "namespace": "default", "uid": "u", "spec": spec})
    return job.model_dump(mode="json", exclude_none=True)


def _card() -> dict[str, Any]:
    def step(name: str, split: str, before: int, after: int, why: str) -> dict[str, Any]:
        return {"step": name, "split": split, "rowsIn": before, "rowsOut": after, "why": why}

    pixel = {"kind": "numeric", "missing": 0, "mean": 4.88, "deviation": 6.02, "minimum": 0.0, "maximum": 16.0}
    card = {
        "source": "file:///data/digits.parquet", "files": 1, "bytes": 48213, "rows": 1797, "badSamples": 2,
        "badExamples": ["digits.parquet row 7: not an image"],
        "steps": [
            step("read", "all", 1797, 1795, "2 samples couldn't be read"),
            step("drop duplicates", "all", 1795, 1795, "no two rows are equal"),
            step("split", "test", 1795, 360, "20% at random, seed 7"),
        ],
        "columns": [{"name": "image", **pixel}, {"name": "label", "kind": "target", "missing": 0, "distinct": 10}],
        "splits": {"train": 1256, "validation": 179, "test": 360},
        "classCounts": {
            "train": dict.fromkeys(CLASSES, 125), "validation": dict.fromkeys(CLASSES, 18),
            "test": dict.fromkeys(CLASSES, 36),
        },
    }  # fmt: skip
    return DataCard.model_validate(card).model_dump(mode="json")


def _evaluation() -> dict[str, Any]:
    count = len(CLASSES)
    matrix = [[34 if i == j else 2 if j == (i + 1) % count else 0 for j in range(count)] for i in range(count)]
    each = {"rows": 36, "precision": 0.944, "recall": 0.944, "f1": 0.944, "rocAuc": 0.998}
    return {
        "split": "test", "rows": 360,
        "metrics": {"accuracy": 0.9444, "precision": 0.944, "recall": 0.944, "f1": 0.944,
                    "rocAuc": 0.998, "logLoss": 0.1021},
        "perClass": dict.fromkeys(CLASSES, each), "confusionMatrix": matrix,
        "overfitting": {
            "verdict": "overfit", "epoch": 9, "bestEpoch": 9,
            "sentence": "Overfitted from epoch 9 on: until epoch 20 the training loss fell from 0.06 to 0.011 while "
            "the validation loss rose from 0.12 to 0.147.",
        },
    }  # fmt: skip
