"""From a pydantic type to a structural OpenAPI v3 schema, the only kind that the API server takes.

https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from functools import cache
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

_KEPT = (
    "description",
    "type",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-int-or-string",
    "x-kubernetes-validations",
)


@cache
def structural(model: type[BaseModel]) -> Schema:
    """The structural schema of `model`. Don't change what it returns: it's kept."""
    raw = model.model_json_schema(by_alias=True)
    return _node(raw, raw.get("$defs", {}))


def _node(raw: Schema, definitions: Schema) -> Schema:
    raw = _inlined(raw, definitions)
    if "anyOf" in raw:
        raw = _union(raw, [_inlined(variant, definitions) for variant in raw["anyOf"]])
    raw = _bounds(raw)
    node = {name: raw[name] for name in _KEPT if name in raw}
    if "properties" in raw:
        node["properties"] = {name: _node(value, definitions) for name, value in raw["properties"].items()}
    elif isinstance(raw.get("additionalProperties"), dict):
        node["additionalProperties"] = _node(raw["additionalProperties"], definitions)
    elif raw.get("type") == "object":
        node["x-kubernetes-preserve-unknown-fields"] = True
    if "items" in raw:
        node["items"] = _node(raw["items"], definitions)
    return node


def _inlined(raw: Schema, definitions: Schema) -> Schema:
    if "$ref" not in raw:
        return raw
    target = definitions[raw["$ref"].rpartition("/")[2]]
    return {**_inlined(target, definitions), **{name: value for name, value in raw.items() if name != "$ref"}}


def _union(raw: Schema, variants: list[Schema]) -> Schema:
    """One object without anyOf. What can't be said by type and bounds is said in CEL, or left to our own check.

    Null isn't declared: the API server then takes it as absent, which is what it means, and has() in CEL is exact.
    """
    outer = {name: value for name, value in raw.items() if name != "anyOf"}
    typed = [variant for variant in variants if variant.get("type") != "null"]
    if len(typed) == 1:
        return {**typed[0], **outer}
    types = {variant["type"] for variant in typed}
    if types != {"string", "integer"}:
        return {**outer, "x-kubernetes-preserve-unknown-fields": True}
    text, number = sorted(typed, key=lambda variant: str(variant["type"]), reverse=True)
    union = {**outer, "x-kubernetes-int-or-string": True}
    rule = _either(_bounds(text), _bounds(number))
    return {**union, "x-kubernetes-validations": [rule]} if rule else {**union, "maxLength": text["maxLength"]}


def _either(text: Schema, number: Schema) -> Schema | None:
    """CEL for a value that is one of some words, or a whole number within bounds."""
    if "enum" not in text:
        return None
    words = " || ".join(f"self == '{word}'" for word in text["enum"])
    low, high = number["minimum"], number["maximum"]
    message = f"must be {' or '.join(text['enum'])}, or a whole number from {low} to {high}"
    return {"rule": f"type(self) == int ? self >= {low} && self <= {high} : {words}", "message": message}


def _bounds(raw: Schema) -> Schema:
    raw = dict(raw)
    if "const" in raw:
        raw["enum"] = [raw["const"]]
    for name, plain in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if not isinstance(raw.get(name), bool) and name in raw:
            raw[plain], raw[name] = raw[name], True
    if raw.get("uniqueItems"):
        raw["x-kubernetes-list-type"] = "set"
    return raw
