"""`--set path=value`: values put into a manifest before it is checked."""

from typing import Any

import yaml

from trainyard_api.errors import TrainyardError
from trainyard_api.problems import Problem, dotted, shown
from trainyard_api.source import Location, Source, parse_value


def override(source: Source, overrides: list[str]) -> list[Problem]:
    """Put each `path=value` into the source, the value typed as YAML; gives what can't be put there.

    A field that doesn't exist is put in like any other: the check that follows finds it, and names the --set.
    """
    problems = []
    for text in overrides:
        path, equals, written = text.partition("=")
        place, location = f"--set {text}", tuple(path.split("."))
        if not equals or not all(location):
            problems.append(Problem(place, (), "not path=value", "write --set spec.recipe.train.epochs=3"))
            continue
        try:
            problem = _put(source, location, parse_value(written), place)
        except (yaml.YAMLError, TrainyardError) as error:
            said = getattr(error, "problem", None) or str(error)
            problem = Problem(place, location, f"the value isn't valid YAML: {said}", "quote it for the shell")
        problems += [problem] if problem else []
    return problems


def _put(source: Source, location: Location, value: Any, place: str) -> Problem | None:
    if not isinstance(source.value, dict):
        return None  # the check says what is wrong
    inner = source.value
    for depth, name in enumerate(location[:-1], start=1):
        if inner.get(name) is None:
            inner[name] = {}
            source.places[location[:depth]] = place
        inner = inner[name]
        if not isinstance(inner, dict):
            above = dotted(location[:depth])
            return Problem(place, location, f"{above} is {shown(inner)}, it has no fields", f"set {above} as a whole")
    inner[location[-1]] = value
    source.places = {known: at for known, at in source.places.items() if known[: len(location)] != location}
    source.places[location] = place
    return None
