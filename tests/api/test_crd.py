"""The CRD: as committed, structural, bounded, small."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic_core import PydanticUndefined

from trainyard_api import crd
from trainyard_api.base import Model
from trainyard_api.job import TrainingJob

COMMITTED = Path(crd.__file__).parents[1] / crd.FILE
SCHEMA = crd.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]

# https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
FORBIDDEN = {
    "$ref",
    "anyOf",
    "oneOf",
    "allOf",
    "not",
    "title",
    "const",
    "definitions",
    "$defs",
    "uniqueItems",
    "deprecated",
}


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from nodes(schema[key], f"{path}.{key}")


NODES = list(nodes(SCHEMA))


def test_the_committed_file_of_runtimes_is_what_the_types_say() -> None:
    committed = Path(crd.__file__).parents[1] / crd.RUNTIME_FILE
    assert committed.read_text() == crd.text(crd.runtime_definition()), "the types have changed: run `make generate`"


def test_the_committed_file_is_what_the_types_say() -> None:
    assert COMMITTED.read_text() == crd.text(crd.definition()), "the types have changed: run `make generate`"
    assert COMMITTED.stat().st_size < 200_000
    assert yaml.safe_load(COMMITTED.read_text()) == crd.definition()


def test_it_is_written_where_it_is_told(tmp_path: Path) -> None:
    assert crd.main([str(tmp_path)]) == 0
    assert (tmp_path / crd.FILE).read_text() == crd.text(crd.definition())


@pytest.mark.parametrize(("path", "node"), NODES, ids=[path or "root" for path, _ in NODES])
def test_every_node_is_structural_and_bounded(path: str, node: dict[str, Any]) -> None:
    assert not FORBIDDEN & set(node)
    assert node.get("additionalProperties") not in (True, False)
    assert not ("properties" in node and "additionalProperties" in node)
    free = node.get("x-kubernetes-preserve-unknown-fields") is True
    kind = node.get("type")
    if node.get("x-kubernetes-int-or-string"):
        assert kind is None
        assert "x-kubernetes-validations" in node or node["maxLength"]
    else:
        assert kind in {"object", "array", "string", "integer", "number", "boolean"} or free
    if kind == "string" and "enum" not in node:
        assert node["maxLength"] <= (32768 if path.endswith(".env.items.value") else 4096)
    if kind == "array":
        assert "items" in node
        assert node["maxItems"] <= 4096
    if kind == "object" and path not in ("", ".metadata"):
        assert "properties" in node or free or "additionalProperties" in node
    if "additionalProperties" in node:
        assert node["maxProperties"] <= 64
    if kind == "integer":
        assert node.get("enum") or (node["minimum"] >= 0 and node["maximum"] <= 2**31 - 1)
    for bound in ("exclusiveMinimum", "exclusiveMaximum"):
        assert node.get(bound, True) is True


def test_every_field_is_described() -> None:
    bare = [
        path
        for path, node in NODES
        if not node.get("description") and not path.endswith((".items", ".additionalProperties"))
    ]
    assert bare == [".metadata"]


_OTHERWISE = "absent: |Exactly one of"  # how a default that is no value is told


def test_a_description_ends_with_the_default() -> None:
    unnamed = []
    for path, field in _defaults(TrainingJob):
        default = _written(field.default)
        if not re.search(rf"[;:,.] {re.escape(default)}( if absent)?\.$|{_OTHERWISE}", field.description):
            unnamed.append(f"{path}: {default}: {field.description}")
    assert not unnamed


def _written(default: Any) -> str:
    """As one would write it in a manifest; none for an empty list, mapping or text."""
    if isinstance(default, float):
        return f"{default:g}"
    if isinstance(default, int | str | bool) and default != "":
        return str(default).lower() if isinstance(default, bool) else str(default)
    return yaml.safe_dump(default, default_flow_style=True, width=1000).strip() if default else "none"


def _defaults(model: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for field in model.model_fields.values():
        where = f"{path}.{field.alias}"
        if where == ".status":
            continue
        if field.default is not PydanticUndefined:
            yield where, field
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, Model):
                yield from _defaults(kind, where)


def test_columns_and_subresources_point_at_fields() -> None:
    version = crd.definition()["spec"]["versions"][0]
    known = {path for path, _ in NODES} | {".metadata.creationTimestamp"}
    scale = dict(version["subresources"]["scale"])
    assert {column["jsonPath"] for column in version["additionalPrinterColumns"]} <= known
    assert set(scale.values()) <= known
    assert version["subresources"]["status"] == {}
    assert dict(NODES)[".spec.nodes"]["default"] == 1
    columns = [column["name"] for column in version["additionalPrinterColumns"]]
    assert {"Phase", "Nodes", "Step", "Loss", "Restarts", "Age", "Reason"} <= set(columns)


def test_rules_reach_the_api_server() -> None:
    rules = [rule["rule"] for _, node in NODES for rule in node.get("x-kubernetes-validations", [])]
    assert "has(self.recipe) != has(self.script)" in rules
    assert len(rules) >= 18
