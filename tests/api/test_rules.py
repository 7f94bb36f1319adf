"""The rules between fields: each is broken once, and each reads no more than the fields it names."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from support.manifests import problems
from support.rule_cases import BROKEN, KEPT
from trainyard_api import rules
from trainyard_api.base import Model, Rule
from trainyard_api.check import _built, _submodels
from trainyard_api.job import TrainingJob
from trainyard_api.manifest import load_job


@pytest.mark.parametrize("name", BROKEN)
def test_broken(name: str, tmp_path: Path) -> None:
    text, message = BROKEN[name]
    said = problems(tmp_path, text)
    assert said.startswith(message)
    # No number of nodes lies within bounds that are upside down.
    assert said.endswith("job.yaml: 2 problems" if name == "elastic upside down" else "job.yaml: 1 problem")


@pytest.mark.parametrize("name", KEPT)
def test_kept(name: str, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(KEPT[name])
    load_job(tmp_path / "job.yaml")


def test_every_rule_is_broken_by_a_case_above() -> None:
    messages = [message for _, message in BROKEN.values()]
    written = [rule for value in vars(rules).values() if isinstance(value, tuple) for rule in value]
    assert len(written) >= 15
    for rule in written:
        assert any(rule.message[:30] in message for message in messages), rule.message


def _models(model: type[Model]) -> Iterator[type[Model]]:
    yield model
    for field in model.model_fields.values():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, Model):
                yield from _models(kind)


RULED = [(model, rule) for model in dict.fromkeys(_models(TrainingJob)) for rule in model.rules]


class Recorder:
    """Stands in for a value, and notes which of its fields are read."""

    def __init__(self, value: Any, path: tuple[str, ...], read: set[str]) -> None:
        self._value, self._path, self._read = value, path, read

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._value, name)
        path = (*self._path, str(type(self._value).model_fields[name].alias))
        self._read.add(".".join(path))
        return Recorder(value, path, self._read) if isinstance(value, Model) else value


@pytest.mark.parametrize(("model", "rule"), RULED, ids=lambda value: getattr(value, "__name__", ""))
def test_a_rule_reads_the_fields_it_names(model: type[Model], rule: Rule) -> None:
    read: set[str] = set()
    for text in [text for text, _ in BROKEN.values()] + list(KEPT.values()):
        for value in _values(text, model):
            rule.holds(Recorder(value, (), read))
    inner = {name for name in read if not any(other.startswith(f"{name}.") for other in read | set(rule.fields))}
    assert inner <= set(rule.fields)


def _values(text: str, wanted: type[Model]) -> list[Model]:
    """The values of one type in a manifest, built without checks: broken rules are wanted here."""
    found: list[Model] = []

    def walk(model: type[Model], value: dict[str, Any]) -> None:
        if model is wanted:
            found.append(_built(model, value, (), set()))
        for name, inner in _submodels(model):
            if isinstance(value.get(name), dict):
                walk(inner, value[name])

    walk(TrainingJob, yaml.safe_load(text))
    return found
