"""What the chart takes, and what it refuses."""

import json
import re
from typing import Any

import pytest
import yaml

from support.chart_values import DIGEST, VARIANTS
from support.helm import CHART, helm, rendered


@pytest.mark.parametrize("variant", VARIANTS)
def test_lint_finds_nothing(variant: str, tmp_path: Any) -> None:
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(VARIANTS[variant]))
    done = helm("lint", "--strict", str(CHART), "-f", str(tmp_path / "values.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"replica": 2}, "replica"),
        ({"replicas": 3}, "/replicas"),
        ({"image": {"digest": DIGEST[:-1]}}, "/image/digest"),
        ({"image": {"registry": "example.org"}}, "registry"),
        ({"namespaces": ["Team_A"]}, "/namespaces/0"),
        ({"namespaces": ["a", "a"]}, "/namespaces"),
        ({"runtimes": {"default": {"templates": {}}}}, "templates"),
        ({"runtimes": {"Not A Name": {}}}, "Not A Name"),
        ({"serviceAccount": {"create": False}}, "/serviceAccount/name"),
        ({"logLevel": "LOUD"}, "/logLevel"),
        ({"extraEnv": [{"value": "x"}]}, "/extraEnv/0"),
        ({"networkPolicy": {"apiServerPorts": [0]}}, "/networkPolicy/apiServerPorts/0"),
        ({"monitoring": {"podMonitor": {"interval": "often"}}}, "/monitoring/podMonitor/interval"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(values: dict[str, Any], where: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(where)):
        rendered(values)


def test_every_value_is_in_the_schema_and_is_explained() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    text = (CHART / "values.yaml").read_text()
    assert set(yaml.safe_load(text)) | {"global"} == set(schema["properties"])
    for block in text.split("\n\n"):
        assert "#" in block, block


def test_an_old_cluster_is_refused() -> None:
    done = helm("template", str(CHART), "--kube-version", "1.32.9")
    assert done.returncode != 0
    assert "1.33" in done.stderr
