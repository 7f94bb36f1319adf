"""The pages about the cluster say all that there is to say."""

import re
from pathlib import Path

import pytest
import yaml

from trainyard_api import reference
from trainyard_api.job import TrainingJob
from trainyard_api.runtime import TrainingRuntime
from trainyard_api.schema import structural
from trainyard_cli.cluster.reasons import NEXT_STEPS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TROUBLES = (DOCS / "troubleshoot.md").read_text()
SECTIONS = set(re.findall(r"^### (\w+)$", TROUBLES, re.MULTILINE))


def named_causes() -> set[str]:
    """Causes that the code names: each can become a job's reason."""
    folders = (ROOT / "trainer", ROOT / "crds" / "trainyard_api")
    code = "\n".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
    found = re.findall(r'cause="([A-Z]\w+)"|_error\(\s*"([A-Z]\w+)"', code)
    return {first or second for first, second in found}


def test_the_reference_is_as_generated() -> None:
    assert (DOCS / "api.md").read_text() == reference.text(), "run `make generate`"


@pytest.mark.parametrize("model", [TrainingJob, TrainingRuntime])
def test_the_reference_has_every_field(model: type[TrainingJob] | type[TrainingRuntime]) -> None:
    text = reference.text()
    schema = structural(model)
    found = list(_fields(schema["properties"]["spec"]))
    assert len(found) > 20
    assert [name for name in found if f"| `{name}` |" not in text] == []


def _fields(schema: dict[str, dict[str, object]]) -> list[str]:
    names = []
    for name, inner in schema.get("properties", {}).items():
        names += [name, *_fields(inner)]  # type: ignore[arg-type]
    return names


def test_every_reason_has_its_section_and_its_next_step() -> None:
    assert set(NEXT_STEPS) == SECTIONS


def test_every_cause_that_the_code_names_is_told() -> None:
    causes = named_causes()
    assert len(causes) > 40
    assert sorted(cause for cause in causes if not re.search(rf"\b{cause}\b", TROUBLES)) == []


OPERATOR = ROOT / "operator" / "trainyard_operator"


@pytest.mark.skipif(not OPERATOR.exists(), reason="no operator is here")
def test_every_reason_that_the_operator_gives_is_told() -> None:
    code = "\n".join(path.read_text() for path in OPERATOR.rglob("*.py"))
    given = re.findall(r'(?:Trouble|Wait)\("(\w+)"|Verdict\([^,]+, "(\w+)"|Account\.\w+, "(\w+)"', code)
    reasons = {reason for groups in given for reason in groups if reason}
    assert len(reasons) > 12
    assert sorted(reasons - SECTIONS) == []


def test_manifests_on_the_pages_are_taken() -> None:
    (runtime,) = re.findall(r"^```yaml\n(.*?)^```$", (DOCS / "cluster.md").read_text(), re.DOTALL | re.MULTILINE)
    TrainingRuntime.model_validate(yaml.safe_load(runtime))
