"""A scanner for manifests: kube-score. What it finds is mended, or explained in exceptions.yaml."""

from pathlib import Path

import pytest
import yaml

from support.chart_values import VARIANTS
from support.helm import rendered
from support.kube_score import findings

EXCEPTIONS = yaml.safe_load(Path(__file__).with_name("exceptions.yaml").read_text())


def expected() -> set[tuple[str, str]]:
    return {(check, name) for check, names in EXCEPTIONS.items() for name in names}


@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_is_found_that_is_not_explained(variant: str) -> None:
    objects = [each for each in rendered({"replicas": 2, **VARIANTS[variant]}) if "Runtime" not in each["kind"]]
    new = {key: text for key, text in findings(objects).items() if key not in expected()}
    if variant == "bare":  # without the policies, which was asked for
        new = {
            key: text
            for key, text in new.items()
            if key[0] not in ("pod-networkpolicy", "deployment-has-poddisruptionbudget")
        }
    assert new == {}


def test_no_exception_is_out_of_date() -> None:
    assert expected() - findings(rendered({"replicas": 2})).keys() == set()
    assert all(reason for names in EXCEPTIONS.values() for reason in names.values())


def test_a_flaw_would_be_found() -> None:
    objects = rendered({"replicas": 2})
    (deployment,) = [each for each in objects if each["kind"] == "Deployment"]
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["securityContext"]["readOnlyRootFilesystem"] = False
    del container["resources"]["limits"]["memory"]
    name = "Deployment/trainyard-operator"
    checks = {check for check, flawed in findings(objects) if flawed == name}
    assert {"container-security-context-readonlyrootfilesystem", "container-resources"} <= checks
