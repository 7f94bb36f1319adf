"""What docs/operate.md says is what the chart does: its rights, its values, its policy."""

import re
from pathlib import Path
from typing import Any

import yaml

from support.helm import of_kind, rendered
from support.schemas import VERSIONS, problems

TEXT = (Path(__file__).parents[2] / "docs" / "operate.md").read_text()
README = (Path(__file__).parents[2] / "README.md").read_text()
Rights = set[tuple[str, str, str]]


def section(title: str) -> str:
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    return str(found)


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def told() -> Rights:
    rows = re.findall(r"^\| (\S+) \| (\S+) \| ([a-z, ]+) \| .+ \|$", section("Permissions, one by one"), re.MULTILINE)
    return {
        (group.replace("core", ""), resource, verb)
        for group, resource, verbs in rows
        if group != "group"
        for verb in verbs.split(", ")
    }


def given(roles: list[dict[str, Any]]) -> Rights:
    return {
        (group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_every_right_is_explained_and_no_other() -> None:
    objects = rendered({"rbac": {"aggregate": False}})
    assert told() == given(of_kind(objects, "ClusterRole") + of_kind(objects, "Role"))


def test_the_values_it_shows_are_values() -> None:
    (values,) = blocks("yaml", section("Install"))
    objects = rendered(yaml.safe_load(values))
    assert {"ServiceMonitor", "PodMonitor", "PrometheusRule", "PodDisruptionBudget"} <= {
        each["kind"] for each in objects
    }


def test_the_readme_installs_every_image() -> None:
    command = README.partition("helm install")[2].partition("kubectl")[0]
    settings = [word for setting in re.findall(r"--set (\S+)", command) for word in ("--set", setting)]
    objects = rendered(None, *settings)
    (deployment,) = of_kind(objects, "Deployment")
    assert "ghcr.io" not in str(deployment)


def test_the_policy_for_jobs_is_one() -> None:
    (text,) = blocks("yaml", section("Network"))
    policy = yaml.safe_load(text)
    assert [problems(policy, version) for version in VERSIONS] == [[]] * len(VERSIONS)
    (operators,) = of_kind(rendered(), "NetworkPolicy")
    launchers = operators["spec"]["egress"][2]
    assert policy["spec"]["podSelector"] == launchers["to"][0]["podSelector"]
    assert policy["spec"]["ingress"][1]["ports"] == launchers["ports"]
