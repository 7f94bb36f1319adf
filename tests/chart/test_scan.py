"""A scanner for manifests: kube-score. What it finds is mended, or explained in exceptions.yaml."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import go
from support.chart_values import VARIANTS
from support.helm import rendered

VERSION = "v1.20.0"
PASSED = 10
EXCEPTIONS = yaml.safe_load(Path(__file__).with_name("exceptions.yaml").read_text())


def scanner() -> str:
    named = os.environ.get("TRAINYARD_KUBE_SCORE")
    return named or str(go.installed("github.com/zegl/kube-score/cmd/kube-score", VERSION))


def found(objects: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """What the scanner says, by check and object."""
    # No limit on CPU: it would slow a burst of jobs, and the request keeps the operator's share.
    flags = ["--output-format", "json", "--kubernetes-version", "v1.33", "--ignore-container-cpu-limit"]
    command = [scanner(), "score", *flags, "-"]
    done = subprocess.run(command, input=yaml.safe_dump_all(objects), capture_output=True, text=True)
    assert done.stdout, done.stderr
    return {
        (check["check"]["id"], f"{each['type_meta']['kind']}/{each['object_meta']['name']}"): str(check["comments"])
        for each in json.loads(done.stdout)
        for check in each["checks"]
        if not check["skipped"] and check["grade"] < PASSED
    }


def expected() -> set[tuple[str, str]]:
    return {(check, name) for check, names in EXCEPTIONS.items() for name in names}


@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_is_found_that_is_not_explained(variant: str) -> None:
    objects = [each for each in rendered({"replicas": 2, **VARIANTS[variant]}) if "Runtime" not in each["kind"]]
    new = {key: text for key, text in found(objects).items() if key not in expected()}
    if variant == "bare":  # without the policies, which was asked for
        new = {
            key: text
            for key, text in new.items()
            if key[0] not in ("pod-networkpolicy", "deployment-has-poddisruptionbudget")
        }
    assert new == {}


def test_no_exception_is_out_of_date() -> None:
    assert expected() - found(rendered({"replicas": 2})).keys() == set()
    assert all(reason for names in EXCEPTIONS.values() for reason in names.values())


def test_a_flaw_would_be_found() -> None:
    objects = rendered({"replicas": 2})
    (deployment,) = [each for each in objects if each["kind"] == "Deployment"]
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["securityContext"]["readOnlyRootFilesystem"] = False
    del container["resources"]["limits"]["memory"]
    name = "Deployment/trainyard-operator"
    checks = {check for check, flawed in found(objects) if flawed == name}
    assert {"container-security-context-readonlyrootfilesystem", "container-resources"} <= checks
