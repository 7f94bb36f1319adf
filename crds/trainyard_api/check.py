"""Checking a manifest's values against the types, until every problem is found."""

import copy
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from trainyard_api import API_VERSION
from trainyard_api.base import Rule
from trainyard_api.job import TrainingJob
from trainyard_api.problems import Problem, missing_field, shown, unknown_field, wrong_value
from trainyard_api.schema import structural
from trainyard_api.source import Location, Source

KIND = "TrainingJob"


def check(source: Source) -> list[Problem]:
    """Every problem of the values in `source`; none: TrainingJob takes them.

    Pydantic leaves out a type's rules while one of its fields is wrong. So what is wrong is taken out of a copy, and
    the copy is checked again; rules that read what was taken out say nothing.
    """
    value = source.value
    if not isinstance(value, dict):
        remedy = f"begin with `apiVersion: {API_VERSION}` and `kind: {KIND}`"
        return [Problem(source.place(()), (), f"{shown(value)} is not a {KIND}", remedy)]
    if value.get("kind") not in (None, KIND):
        remedy = f"`trainyard` takes kind: {KIND}"
        return [Problem(source.place(("kind",)), ("kind",), f"{shown(value['kind'])} is not a {KIND}", remedy)]
    problems: dict[tuple[Location, str], Problem] = {}
    removed: set[Location] = set()
    copied = copy.deepcopy(value)
    while found := _errors(copied):
        for error in found:
            if not error.reads(removed):
                problem = error.problem(source)
                problems.setdefault((problem.location, problem.what), problem)
        if not _remove(copied, found, removed):
            break
    return list(problems.values())


@dataclass(frozen=True)
class _Error:
    """One of pydantic's errors, with its place in the manifest."""

    type: str
    location: Location
    value: Any
    said: str
    rule: Rule | None = None
    given: tuple[Location, ...] = ()  # fields of the rule that the manifest gives

    def reads(self, removed: set[Location]) -> bool:
        """Whether it is about something that was taken out before."""
        fields = [self.location]
        if self.rule:
            fields = [(*self.location, *name.split(".")) for name in self.rule.fields]
        return any(field[: len(gone)] == gone for field in fields for gone in removed)

    def problem(self, source: Source) -> Problem:
        schema = structural(TrainingJob)
        if self.rule:
            at = self.given[0] if self.given else self.location
            return Problem(source.place(at), at, self.rule.message, self.rule.remedy)
        if self.type == "missing":
            what, remedy = missing_field(schema, self.location)
        elif self.type == "extra_forbidden":
            what, remedy = unknown_field(schema, self.location)
        else:
            what, remedy = wrong_value(schema, self.location, self.value, self.said)
        return Problem(source.place(self.location), self.location, what, remedy)


def _errors(value: dict[str, Any]) -> list[_Error]:
    try:
        TrainingJob.model_validate(value)
    except ValidationError as invalid:
        found: list[_Error] = []
        for error in invalid.errors(include_url=False):
            location = _location(error["loc"], value)
            said = error["msg"].removeprefix("Input should be ").removeprefix("a valid ")
            if error["type"] != "rules":
                found.append(_Error(error["type"], location, error["input"], said))
            for rule in error.get("ctx", {}).get("rules", []):
                names = [(*location, *name.split(".")) for name in rule.fields]
                given = tuple(name for name in names if _has(value, name))
                found.append(_Error("rule", location, None, said, rule, given))
        # A union fails once for each of its types: the error that goes deepest belongs to the type that was meant.
        deeper = [error.location for error in found]
        return [error for error in found if error.rule or not _under(error.location, deeper)]
    return []


def _under(location: Location, others: list[Location]) -> bool:
    return any(len(other) > len(location) and other[: len(location)] == location for other in others)


def _location(loc: tuple[int | str, ...], value: Any) -> Location:
    """Pydantic's location without the names of a union's types."""
    location: list[str | int] = []
    for part in loc:
        if isinstance(value, dict):
            location.append(part)
            if part not in value:
                break
            value = value[part]
        elif isinstance(value, list) and isinstance(part, int):
            location.append(part)
            value = value[part]
    return tuple(location)


def _has(value: Any, location: Location) -> bool:
    for part in location:
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True


def _remove(value: dict[str, Any], errors: list[_Error], removed: set[Location]) -> bool:
    """Take what is wrong out of `value`; False if there was nothing more to take out."""
    doubtful: set[Location] = set()
    for error in errors:
        if error.rule:
            doubtful.update(error.given or [error.location])
        elif error.type != "missing":
            doubtful.add(error.location)
    # A type without a field that it must have goes as a whole, once everything else in it has been looked at.
    doubtful = doubtful or {error.location[:-1] for error in errors}
    gone = [location for location in map(_outside_lists, doubtful) if location and _take_out(value, location)]
    removed.update(gone)
    return bool(gone)


def _outside_lists(location: Location) -> Location:
    while location and isinstance(location[-1], int):
        location = location[:-1]
    return location


def _take_out(value: Any, location: Location) -> bool:
    for part in location[:-1]:
        value = value.get(part) if isinstance(value, dict) else None
    return isinstance(value, dict) and value.pop(location[-1], value) is not value
