"""Checking a manifest's values against the types, until every problem is found."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from trainyard_api import API_VERSION
from trainyard_api.base import Model, Rule
from trainyard_api.job import TrainingJob
from trainyard_api.problems import Problem, meant, missing_field, shown, unknown_field, wrong_value
from trainyard_api.schema import structural
from trainyard_api.source import Location, Source

KIND = "TrainingJob"


def check(source: Source) -> list[Problem]:
    """Every problem of the values in `source`; none: TrainingJob takes them."""
    value = source.value
    if not isinstance(value, dict):
        remedy = f"begin with `apiVersion: {API_VERSION}` and `kind: {KIND}`"
        return [Problem(source.place(()), (), f"{shown(value)} is not a {KIND}", remedy)]
    if value.get("kind") not in (None, KIND):
        remedy = f"`trainyard` takes kind: {KIND}"
        return [Problem(source.place(("kind",)), ("kind",), f"{shown(value['kind'])} is not a {KIND}", remedy)]
    problems = _wrong_fields(source)
    bad = {problem.location for problem in problems} | set(_meant(problems, value))
    return problems + [_rule_problem(source, location, rule) for location, rule in _broken(TrainingJob, value, (), bad)]


def _wrong_fields(source: Source) -> list[Problem]:
    """What pydantic finds: fields that are unknown, missing, of the wrong type, or out of bounds."""
    try:
        TrainingJob.model_validate(source.value)
    except ValidationError as invalid:
        schema = structural(TrainingJob)
        problems: dict[Location, Problem] = {}
        errors = invalid.errors(include_url=False)
        for error in errors:
            location = _location(error, source.value)
            match error["type"]:
                case "rules":
                    continue
                case "missing":
                    what, remedy = missing_field(schema, location)
                case "extra_forbidden":
                    what, remedy = unknown_field(schema, location, error["input"])
                case _:
                    said = [_wanted(other) for other in errors if _location(other, source.value) == location]
                    what, remedy = wrong_value(schema, location, error["input"], " or ".join(dict.fromkeys(said)))
            problems.setdefault(location, Problem(source.place(location), location, what, remedy))
        # A union fails once for each of its types: the error that goes deepest belongs to the type that was meant.
        return [
            problem for location, problem in problems.items() if not any(_within(deep, location) for deep in problems)
        ]
    return []


def _wanted(error: ErrorDetails) -> str:
    return error["msg"].removeprefix("Input should be ").replace("a valid ", "a ")


def _location(error: ErrorDetails, value: Any) -> Location:
    """Pydantic's location without the names of a union's types."""
    location: list[str | int] = []
    for part in error["loc"]:
        if (isinstance(value, dict) and part in value) or (isinstance(value, list) and isinstance(part, int)):
            location.append(part)
            value = _get(value, (part,))
        elif error["type"] == "missing":
            location.append(part)
    return tuple(location)


def _within(inner: Location, outer: Location) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer


def _meant(problems: list[Problem], value: Any) -> Iterator[Location]:
    """Fields that a misspelt one stands for: that they're missing isn't said besides."""
    for problem in problems:
        guess = meant(structural(TrainingJob), problem.location)
        if guess and not _given(value, guess):
            yield guess


def _given(value: Any, location: Location) -> bool:
    for part in location:
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True


def _broken(model: type[Model], value: Any, location: Location, bad: set[Location]) -> Iterator[tuple[Location, Rule]]:
    """Rules that don't hold, those that read a bad field left aside.

    Pydantic leaves out every rule of a type while anything in it is wrong; so the types are built here without checks.
    """
    for name, inner in _submodels(model):
        if isinstance(value.get(name), dict) and (*location, name) not in bad:
            yield from _broken(inner, value[name], (*location, name), bad)
    built = _built(model, value, location, bad)
    for rule in model.rules:
        fields = [(*location, *name.split(".")) for name in rule.fields]
        if not any(_doubtful(field, bad) for field in fields) and not rule.holds(built):
            yield location, rule


def _submodels(model: type[Model]) -> Iterator[tuple[str, type[Model]]]:
    for field in model.model_fields.values():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, Model):
                yield str(field.alias), kind


def _built(model: type[Model], value: Any, location: Location, bad: set[Location]) -> Model:
    given = {name: inner for name, inner in value.items() if (*location, name) not in bad}
    for name, inner in _submodels(model):
        if isinstance(given.get(name), dict):
            given[name] = _built(inner, given[name], (*location, name), bad)
    return model.model_construct(**given)


def _doubtful(field: Location, bad: set[Location]) -> bool:
    """Whether the field, something above it or one of its list's values is bad."""
    inside = {other[:-1] for other in bad if other and isinstance(other[-1], int)}
    return any(field[: len(other)] == other for other in bad | inside)


def _rule_problem(source: Source, location: Location, rule: Rule) -> Problem:
    fields = [(*location, *name.split(".")) for name in rule.fields]
    given = [field for field in fields if _given(source.value, field)]
    values = ", ".join(f"{field[-1]}: {shown(_get(source.value, field))}" for field in given)
    at = given[0] if given else location
    return Problem(source.place(at), at, f"{rule.message} ({values})" if values else rule.message, rule.remedy)


def _get(value: Any, location: Location) -> Any:
    for part in location:
        value = value[part]
    return value
