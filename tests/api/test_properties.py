"""For any job: written as YAML it comes back the same, and a single wrong field is found at its line."""

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from support.any_job import SPEC, corrupt, documents, leaves, valid
from trainyard_api.errors import TrainyardError
from trainyard_api.job import TrainingJob
from trainyard_api.manifest import load_job


def load(text: str, name: str = "job.yaml") -> TrainingJob:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(text, encoding="utf-8")
        return load_job(path)


@settings(max_examples=40, deadline=None)
@given(documents(), st.booleans())
def test_a_job_comes_back_from_yaml_and_json(document: dict[str, Any], flow: bool) -> None:
    assume(valid(document))
    job = TrainingJob.model_validate(document)
    written = job.model_dump(by_alias=True)
    assert load(json.dumps(written), "job.json") == job
    # Plain scalars are as YAML 1.2 has them: PyYAML writes 1e-05 as 1.0e-05, and quotes what YAML 1.1 would misread.
    assert load(yaml.safe_dump(written, default_flow_style=flow, allow_unicode=True)) == job


def lines(value: dict[str, Any], indent: str = "") -> list[str]:
    """Block YAML with one field on each line."""
    written = []
    for name, inner in value.items():
        if isinstance(inner, dict) and inner:
            written += [f"{indent}{json.dumps(name)}:", *lines(inner, f"{indent}  ")]
        else:
            written.append(f"{indent}{json.dumps(name)}: {json.dumps(inner)}")
    return written


@settings(max_examples=40, deadline=None)
@given(documents(), st.data())
def test_one_wrong_field_is_found_at_its_line(document: dict[str, Any], data: st.DataObject) -> None:
    assume(valid(document))
    places = leaves(SPEC, document["spec"], ("spec",))
    assume(places)
    path, schema = data.draw(st.sampled_from(places))
    where = document
    for name in path[:-1]:
        where = where[name]
    misspell = data.draw(st.booleans(), label="misspell")
    if misspell:
        wrong = (*path[:-1], f"{path[-1]}Zzz")
        where[wrong[-1]] = where.pop(path[-1])
    else:
        wrong = path
        where[path[-1]] = "MARK"
    text = lines(document)
    if not misspell:
        text = [line.replace('"MARK"', json.dumps(corrupt(schema))) for line in text]
        line = next(number for number, one in enumerate(text, 1) if "surely" in one)
    else:
        line = next(number for number, one in enumerate(text, 1) if f'{wrong[-1]}"' in one)
    with pytest.raises(TrainyardError) as raised:
        load("\n".join(text) + "\n")
    said = str(raised.value)
    assert re.search(rf"job\.yaml:{line}: {re.escape('.'.join(wrong))}: ", said), said
