"""docs/api.md: every field with its type, default and meaning, from the types.

python -m trainyard_api.reference [FILE]     # default: docs/api.md
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic.fields import FieldInfo

from trainyard_api.base import Model
from trainyard_api.job import JobSpec, Metadata, TrainingJob
from trainyard_api.problems import dotted, expected, schema_at
from trainyard_api.runtime import RuntimeSpec, TrainingRuntime
from trainyard_api.schema import Schema, structural
from trainyard_api.source import Location
from trainyard_api.status import Status

_HEAD = """\
# API reference

Group `trainyard.dev`, version `v1alpha1`. Generated from `crds/trainyard_api` by `make generate`: edit the types.

`kubectl explain tj.spec` says the same on a cluster. A dash for the default: the field may be absent, and its meaning
says what that means. Durations are whole seconds.
"""
_PARTS: tuple[tuple[str, str, type[Model], type[Model], Location], ...] = (
    ("TrainingJob: metadata", "A model to be trained.", TrainingJob, Metadata, ("metadata",)),
    ("TrainingJob: spec", "What is asked for. Short name `tj`.", TrainingJob, JobSpec, ("spec",)),
    ("TrainingJob: status", "What the operator has observed.", TrainingJob, Status, ("status",)),
    (
        "TrainingRuntime: spec",
        "Presets for jobs, cluster-wide; a job's own fields win. Short name `tr`. The one named `default` holds for "
        "jobs that name none.",
        TrainingRuntime,
        RuntimeSpec,
        ("spec",),
    ),
)


def text() -> str:
    """The page."""
    parts = [_HEAD]
    for title, about, root, model, location in _PARTS:
        parts.append(f"## {title}\n{about}\n")
        parts += _tables(structural(root), model, location)
    return "\n".join(parts)


def _tables(schema: Schema, model: type[Model], location: Location) -> Iterator[str]:
    """One table for the model's own fields, then one for each model inside it."""
    name = dotted(location).replace("[0]", "[]")
    rules = "".join(f"- {rule.message}: {rule.remedy}\n" for rule in model.rules)
    transitions = "".join(f"- {each.message}\n" for each in model.transitions)
    rows = "".join(_row(schema, field, (*location, str(field.alias))) for field in model.model_fields.values())
    yield f"### {name}\n| field | takes | default | meaning |\n|---|---|---|---|\n{rows}"
    if rules:
        yield f"Refused, by the API server and by `trainyard validate`:\n\n{rules}"
    if transitions:
        yield f"On a job that exists:\n\n{transitions}"
    for field in model.model_fields.values():
        if inner := _model_of(field):
            below = (*location, str(field.alias))
            a_list = schema_at(schema, below).get("type") == "array"
            yield from _tables(schema, inner, (*below, 0) if a_list else below)


def _row(schema: Schema, field: FieldInfo, location: Location) -> str:
    node = schema_at(schema, location)
    takes = _takes(node)
    meaning = str(node.get("description", ""))
    return f"| `{location[-1]}` | {_cell(takes)} | {_default(field)} | {_cell(meaning)} |\n"


def _takes(node: Schema) -> str:
    if node.get("type") == "object" and "properties" in node:
        return "see below"
    if node.get("type") == "array" and "items" in node:
        each = _takes(node["items"])
        return f"{expected(node)}; each {each}" if each and each != "see below" else expected(node)
    return expected(node) or "any value"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None or field.default in (None, "", [], {}):
        return "-"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def _model_of(field: FieldInfo) -> type[Model] | None:
    """The model that a field, or a list of it, holds."""
    waiting: list[Any] = [field.annotation]
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and issubclass(kind, Model):
            return kind
        waiting += get_args(kind)
    return None


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main(arguments: list[str]) -> int:
    """Write the page."""
    path = Path(arguments[0]) if arguments else Path(__file__).parents[2] / "docs" / "api.md"
    path.write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
