"""The alerts, by Prometheus' own tool."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.helm import CHART
from support.prometheus import binary

RULES = CHART / "files" / "alerts.yaml"
CASES = Path(__file__).with_name("alerts.test.yaml")
DOCUMENT = CHART.parents[1] / "docs" / "operate.md"


def alerts() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(binary("promtool")), *words], capture_output=True, text=True)


def test_the_rules_are_well_formed() -> None:
    done = promtool("check", "rules", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_fires_when_it_should_and_not_when_it_should_not() -> None:
    done = promtool("test", "rules", str(CASES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_is_tried_both_ways() -> None:
    tried = [case for test in yaml.safe_load(CASES.read_text())["tests"] for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in tried if case.get("exp_alerts")} == set(alerts())
    assert {case["alertname"] for case in tried if not case.get("exp_alerts")} == set(alerts())


@pytest.mark.parametrize("name", alerts())
def test_the_test_would_see_a_rule_that_never_fires(name: str, tmp_path: Path) -> None:
    document = yaml.safe_load(RULES.read_text())
    for group in document["groups"]:
        for rule in group["rules"]:
            if rule["alert"] == name:
                rule["expr"] = f"({rule['expr']}) and on () vector(1) == 2"
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(document))
    cases = yaml.safe_load(CASES.read_text())
    (tmp_path / "cases.yaml").write_text(
        yaml.safe_dump({**cases, "rule_files": [str(CASES.with_name("loss.yaml")), "rules.yaml"]})
    )
    assert promtool("test", "rules", str(tmp_path / "cases.yaml")).returncode == 1


def test_each_says_what_to_do() -> None:
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in ("warning", "critical"), name
        assert rule["annotations"].keys() == {"summary", "description"}, name


def test_each_is_explained() -> None:
    assert set(re.findall(r"^\| `(Trainyard\w+)` \|", DOCUMENT.read_text(), re.MULTILINE)) == set(alerts())
