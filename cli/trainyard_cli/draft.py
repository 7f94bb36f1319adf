"""The text of a first manifest: what a person would write for this data, with a word on each choice."""

import json
import re

from trainyard_api import API_VERSION
from trainyard_api.source import parse_value
from trainyard_cli.survey import Survey

# Up to so many rows: batch size, epochs and patience. Small data needs many passes; early stopping ends them in time.
_SIZES = (
    (2_000, 32, 60, 10),
    (20_000, 64, 40, 6),
    (200_000, 256, 20, 4),
    (None, 1024, 10, 3),
)
_MIN_PER_CLASS = 10  # of a class, so that each split gets some


def draft(found: Survey, uri: str, name: str) -> str:
    """The manifest for `found`. `uri` is where the data is, as seen from the manifest; `name` is the data's name."""
    lines = [
        f"# Written by `trainyard init` after a look at {_rows(found)}. Everything here may be changed.",
        f"apiVersion: {API_VERSION}",
        "kind: TrainingJob",
        "metadata:",
        f"  name: {job_name(name)}",
        "spec:",
        "  recipe:",
        *_data(found, uri),
        *_prepare(found),
        *_model(found),
        *_train(found),
    ]
    return "\n".join(lines) + "\n"


def job_name(text: str) -> str:
    """`text` as a name that Kubernetes takes: lower-case letters, digits and -, at most 63."""
    stem = re.sub(r"\.(csv|parquet|jsonl|ndjson|tar)$", "", text.lower())
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:52].strip("-") or "job"


def _rows(found: Survey) -> str:
    return (
        f"the first {found.rows} rows" if found.more else f"{found.rows} {'images' if found.target is None else 'rows'}"
    )


def _data(found: Survey, uri: str) -> list[str]:
    lines = ["    data:", f"      uri: {quoted(uri)}"]
    if found.format in ("images", "webdataset"):
        lines.append(f"      format: {found.format}")
    if found.target is not None:
        lines.append(f"      target: {quoted(found.target)}")
    lines.append(f"      task: {found.task:<21}{_about_task(found)}")
    numbers = [name for name, kind in found.inputs.items() if kind.startswith(("Int", "UInt"))]
    if numbers:
        lines.append(f"      categorical: {'[]':<14}# whole numbers that are names, not amounts: {_some(numbers)}?")
    stratify = "true" if found.classes and min(found.classes.values()) >= _MIN_PER_CLASS else "false"
    lines.append(f"      split: {{validation: 0.15, test: 0.2, seed: 1, stratify: {stratify}}}")
    return lines


def _about_task(found: Survey) -> str:
    if not found.classes:
        return "# the target is an amount; for classes: multiclass"
    counts = sorted(found.classes.items(), key=lambda item: -item[1])
    return f"# {len(counts)} classes: {_some([f'{name} ({rows})' for name, rows in counts], 4)}"


def _prepare(found: Survey) -> list[str]:
    lines = ["    prepare:"]
    if found.drop:
        lines.append("      drop:")
        lines += [f"        - {quoted(name)}  # {_one_line(why)}" for name, why in found.drop.items()]
    lines.append("      duplicates: drop           # rows equal in every column count once")
    if found.missing:
        share = max(found.missing.values()) / found.rows
        most = max(found.missing, key=lambda name: found.missing[name])
        lines.append(
            "      missing: {numeric: median, categorical: constant}"
            f"  # {len(found.missing)} columns lack values, most {_one_line(most)} ({share:.1%})"
        )
    if found.shape:
        lines.append("      scale: standard            # mean 0 and deviation 1, fitted on the training split")
    else:
        lines.append("      scale: standard            # numbers: mean 0 and deviation 1, fitted on the training split")
    if "String" in found.inputs.values():
        lines.append("      categories: onehot         # text: one feature per value, and one for unknown ones")
    if found.classes and max(found.classes.values()) > 4 * min(found.classes.values()):
        lines.append("      balance: none              # the classes differ in size; oversample evens them out")
    return lines


def _model(found: Survey) -> list[str]:
    if found.shape and len(found.shape) >= 2 and min(_plane(found.shape)) >= 8:
        return [
            "    model:",
            "      type: cnn                  # convolutions, as the input is an image",
            "      dropout: 0.2",
        ]
    hidden = "[64, 32]" if found.rows <= 20_000 else "[256, 128]"
    return ["    model:", "      type: mlp", f"      hidden: {hidden}", "      dropout: 0.1"]


def _plane(shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of an image, wherever its channels are."""
    if len(shape) == 3 and shape[0] in (1, 3, 4) and shape[2] not in (1, 3, 4):
        return shape[1], shape[2]
    return shape[0], shape[1]


def _train(found: Survey) -> list[str]:
    _, batch, epochs, patience = next(
        size for size in _SIZES if size[0] is None or (found.rows <= size[0] and not found.more)
    )
    return [
        "    train:",
        f"      epochs: {epochs:<19}# at most: early stopping ends training when the validation loss rises",
        f"      batchSize: {batch}",
        "      optimizer: {type: adamw, learningRate: 0.002, weightDecay: 0.01}",
        "      schedule: {type: cosine}",
        f"      earlyStopping: {{metric: validation/loss, patience: {patience}}}",
        "      seed: 1",
    ]


def quoted(text: str) -> str:
    """`text` as YAML: plain where it's read back as the same text, in quotes elsewhere."""
    plain = re.fullmatch(r"[A-Za-z0-9_./][\w./ +*-]*", text, re.ASCII) and text == text.strip()
    return text if plain and parse_value(text) == text else json.dumps(text)


def _one_line(text: str) -> str:
    """`text` for a comment."""
    return " ".join(text.split())


def _some(names: list[str], most: int = 3) -> str:
    return _one_line(", ".join(names[:most]) + (", ..." if len(names) > most else ""))
