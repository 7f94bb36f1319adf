"""What is wrong with a manifest, said so that its writer can mend it."""

import difflib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from trainyard_api.base import NAME
from trainyard_api.schema import Schema
from trainyard_api.source import Location


@dataclass(frozen=True)
class Problem:
    """One thing to mend. Printed as `job.yaml:12: spec.recipe.train.epochs: what` and, below it, the remedy."""

    place: str
    location: Location
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.place}: {dotted(self.location) or 'the manifest'}: {self.what}\n  remedy: {self.remedy}"


def dotted(location: Location) -> str:
    """spec.recipe.model.hidden[0]"""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` probably stands for, upper and lower case left aside."""
    lower = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    return lower[found[0]] if found else None


def schema_at(schema: Schema, location: Location) -> Schema:
    """The schema of the field at `location`; {} if there is none."""
    for part in location:
        if isinstance(part, int):
            schema = schema.get("items", {})
        else:
            schema = schema.get("properties", {}).get(part, schema.get("additionalProperties", {}))
    return schema


def shown(value: Any) -> str:
    """A value as it would be written in the manifest, cut to what fits on a line."""
    if value is None:
        return "an empty value"
    if isinstance(value, dict):
        return f"a mapping ({', '.join(list(value)[:3])}{', ...' if len(value) > 3 else ''})" if value else "{}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def meant(schema: Schema, location: Location) -> Location | None:
    """The field that an unknown field's name probably stands for."""
    guess = nearest(str(location[-1]), schema_at(schema, location[:-1]).get("properties", {}))
    return (*location[:-1], guess) if guess else None


def unknown_field(schema: Schema, location: Location, value: Any) -> tuple[str, str]:
    """What and remedy for a field that isn't known."""
    name = str(location[-1])
    known = schema_at(schema, location[:-1]).get("properties", {})
    elsewhere = [dotted((*found, name)) for found in _owners(schema, name) if found[:1] != ("status",)]
    guess = meant(schema, location)
    if guess:
        remedy = f"did you mean {guess[-1]}?"
    elif elsewhere:
        remedy = f"it belongs to {' or '.join(elsewhere[:3])}"
    else:
        remedy = f"remove it; known here: {', '.join(known)}"
    return f"unknown field{' here' if elsewhere and not guess else ''}, its value is {shown(value)}", remedy


def _owners(schema: Schema, name: str, location: Location = ()) -> Iterator[Location]:
    for inner, value in schema.get("properties", {}).items():
        if inner == name:
            yield location
        yield from _owners(value, name, (*location, inner))


def missing_field(schema: Schema, location: Location) -> tuple[str, str]:
    """What and remedy for a field that must be there."""
    node = schema_at(schema, location)
    example = f": {node['enum'][0]}" if len(node.get("enum", [])) == 1 else ""
    return "missing", f"add {location[-1]}{example} ({_about(node)})"


def wrong_value(schema: Schema, location: Location, value: Any, said: str) -> tuple[str, str]:
    """What and remedy for a value of the wrong type, or out of bounds. `said`: for values that no schema covers."""
    node = schema_at(schema, location)
    wanted = expected(node) or said
    if node.get("maximum") == _UNBOUNDED and isinstance(value, int) and value > _UNBOUNDED:
        wanted += f" and at most {_UNBOUNDED}"
    what = f"{shown(value)} is not {wanted}"
    if value is None:
        return f"it has no value, {wanted} is wanted", f"give a value, or remove the line ({_about(node)})"
    guess = nearest(value, map(str, node.get("enum", []))) if isinstance(value, str) else None
    if guess:
        return what, f"did you mean {guess}?"
    if node.get("type") == "string" and isinstance(value, bool | int | float):
        return what, f"put it in quotes if it's text: '{str(value).lower() if isinstance(value, bool) else value}'"
    if node.get("type") in ("integer", "number") and _is_number(value):
        return what, "remove the quotes"
    about = _about(node)
    return what, f"write {wanted}" + (f" ({about})" if about else "")


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, str) and math.isfinite(float(value))
    except ValueError:
        return False


def _about(node: Schema) -> str:
    return str(node.get("description", "")).rstrip(".")


def expected(node: Schema) -> str:
    """What a field takes, in words: a whole number of at least 1. Empty if the schema doesn't tell."""
    if "enum" in node:
        words = [str(word) for word in node["enum"]]
        return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
    if node.get("x-kubernetes-int-or-string"):
        rules = node.get("x-kubernetes-validations")
        return str(rules[0]["message"]).removeprefix("must be ") if rules else "text or a whole number"
    match node.get("type"):
        case "integer":
            return "a whole number" + _range(node)
        case "number":
            return "a number" + _range(node)
        case "boolean":
            return "true or false"
        case "string":
            return "text" + _length(node, "Length", "characters") + _pattern(node)
        case "array":
            return "a list" + _length(node, "Items", "values")
        case "object" if "properties" in node:
            return f"a mapping with {', '.join(list(node['properties'])[:6])}" + (
                ", ..." if len(node["properties"]) > 6 else ""
            )
        case "object":
            return "a mapping of names to values" + _length(node, "Properties", "names")
    return ""


_UNBOUNDED = 2_147_483_647


def _range(node: Schema) -> str:
    low = f"{'above' if node.get('exclusiveMinimum') else 'of at least'} {node['minimum']}" if "minimum" in node else ""
    high = f"{'below' if node.get('exclusiveMaximum') else 'at most'} {node['maximum']}" if "maximum" in node else ""
    if node.get("maximum") == _UNBOUNDED:
        high = ""
    return "".join([f" {low}" if low else "", " and" if low and high else "", f" {high}" if high else ""])


def _length(node: Schema, bound: str, unit: str) -> str:
    low, high = node.get(f"min{bound}", 0), node.get(f"max{bound}")
    if high is None:
        return ""
    return f" of {low} to {high} {unit}" if low else f" of at most {high} {unit}"


def _pattern(node: Schema) -> str:
    if node.get("pattern") == NAME:
        return ": a-z, 0-9 and -, the first and the last no -"
    return f" that matches {node['pattern']}" if "pattern" in node else ""
