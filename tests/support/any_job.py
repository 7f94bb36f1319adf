"""Any job at all: hypothesis' strategies for valid manifests, by the schema, and ways to make one wrong."""

from typing import Any

from hypothesis import strategies as st

from trainyard_api.job import TrainingJob
from trainyard_api.schema import Schema, structural

SPEC: Schema = structural(TrainingJob)["properties"]["spec"]
ALPHABET = "aN0y :#-'\"%{}[]\n\té"
PATTERNS = {"^([a-z]": st.sampled_from(["mlp", "cnn", "my.nets:Wide"]), "^[a-z0-9]": st.sampled_from(["a", "a-b", "7"])}


def values(schema: Schema) -> st.SearchStrategy[Any]:
    """Values that the schema takes, small ones."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return (
            st.one_of(st.just("auto"), st.integers(1, 64)) if "x-kubernetes-validations" in schema else st.just("4Gi")
        )
    kinds = {"integer": _integers, "number": _numbers, "boolean": _booleans, "string": _texts, "array": _lists}
    return {**kinds, "object": _objects}.get(schema.get("type", ""), _autos)(schema)


def _integers(schema: Schema) -> st.SearchStrategy[int]:
    return st.integers(schema["minimum"], min(schema["maximum"], 5000))


def _numbers(schema: Schema) -> st.SearchStrategy[float]:
    return st.floats(min(schema.get("minimum", 0) + 0.001, 1), min(schema.get("maximum", 10), 10) - 0.01)


def _booleans(schema: Schema) -> st.SearchStrategy[bool]:
    return st.booleans()


def _autos(schema: Schema) -> st.SearchStrategy[str]:
    return st.just("auto")


def _lists(schema: Schema) -> st.SearchStrategy[list[Any]]:
    return st.lists(values(schema["items"]), min_size=schema.get("minItems", 0), max_size=2)


def _texts(schema: Schema) -> st.SearchStrategy[str]:
    for start, strategy in PATTERNS.items():
        if schema.get("pattern", "").startswith(start):
            return strategy
    return _words(schema.get("minLength", 0))


def _words(shortest: int) -> st.SearchStrategy[str]:
    return st.text(ALPHABET, min_size=shortest, max_size=6)


def _objects(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    if "additionalProperties" in schema:
        return st.dictionaries(_words(1), values(schema["additionalProperties"]), max_size=2)
    if "properties" not in schema:
        return st.dictionaries(st.sampled_from("abc"), st.integers() | _words(0), max_size=2)
    fields = {name: values(inner) for name, inner in schema["properties"].items()}
    required = {name: fields.pop(name) for name in schema.get("required", [])}
    return st.fixed_dictionaries(required, optional=fields)


def valid(document: dict[str, Any]) -> bool:
    try:
        TrainingJob.model_validate(document)
    except ValueError:
        return False
    return True


def documents() -> st.SearchStrategy[dict[str, Any]]:
    """Valid manifests. Rules between fields are kept by leaving out what they forbid."""

    def build(spec: dict[str, Any]) -> dict[str, Any]:
        head = {"apiVersion": "trainyard.dev/v1alpha1", "kind": "TrainingJob", "metadata": {"name": "a"}}
        document = {**head, "spec": spec}
        if "recipe" in spec:
            spec.pop("script", None)
        elif "script" not in spec:
            spec["script"] = {"command": ["a"]}
        spec.pop("elastic", None)
        for data in (spec.get("recipe", {}).get("data"), spec.get("script", {}).get("data")):
            if data is not None:
                data.pop("splits", None)
                data.update(uri="a.tar", split={"seed": 3}, format="auto", target="t", task="multiclass")
        recipe = spec.get("recipe", {})
        for part, names in (
            ("train", ["optimizer", "earlyStopping", "schedule", "accumulationSteps"]),
            ("evaluate", ["metrics"]),
        ):
            for name in names:
                if not valid(document):
                    recipe.get(part, {}).pop(name, None)
        recipe.get("prepare", {}).pop("outliers", None)
        recipe.get("model", {}).pop("args", None)
        return document

    return values(SPEC).map(build)


def leaves(schema: Schema, value: Any, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], Schema]]:
    found = []
    for name, inner in value.items() if isinstance(value, dict) else []:
        node = schema.get("properties", {}).get(name)
        if node is None:
            continue
        if node.get("type") == "object" and "properties" in node:
            found += leaves(node, inner, (*path, name))
        elif node.get("type") or node.get("x-kubernetes-int-or-string"):
            found.append(((*path, name), node))
    return found


def corrupt(schema: Schema) -> Any:
    """A value that no field of this type takes."""
    return {"surely": ["not", "this"]} if schema.get("type") != "object" else "surely not this"
