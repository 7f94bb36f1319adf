"""Strict JSON Schemas: of Kubernetes' objects, of those that GitOps and monitoring tools define, and of ours.

`python -m support.schemas` fills the cache.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator

from support.module_files import ModuleFile

Schema = dict[str, Any]

VERSIONS = ("1.33.6", "1.34.2", "1.37.2")  # the oldest the chart takes, the one of the tests' API server, the newest
_OURS = Path(__file__).parents[2] / "crds"
_MONITORING = [
    ModuleFile(
        "github.com/prometheus-operator/prometheus-operator",
        "v0.85.0",
        f"example/prometheus-operator-crd/monitoring.coreos.com_{name}.yaml",
    )
    for name in ("servicemonitors", "podmonitors", "prometheusrules")
]
_GITOPS = [
    ModuleFile("github.com/argoproj/argo-cd/v3", "v3.6.1", "manifests/crds/application-crd.yaml"),
    ModuleFile(
        "github.com/fluxcd/kustomize-controller",
        "v1.10.1",
        "config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml",
    ),
    ModuleFile(
        "github.com/fluxcd/source-controller",
        "v1.10.1",
        "config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml",
    ),
]
_NUMBERS_TOO = ("io.k8s.apimachinery.pkg.api.resource.Quantity", "io.k8s.apimachinery.pkg.util.intstr.IntOrString")


def problems(document: dict[str, Any], version: str = VERSIONS[-1]) -> list[str]:
    """What Kubernetes `version` would find wrong with `document`, fields it doesn't know included; [] if nothing."""
    schema = _schema(document["apiVersion"], document["kind"], version)
    if schema is None:
        return [f"Kubernetes {version} has no {document['apiVersion']} {document['kind']}"]
    found = Draft7Validator(schema).iter_errors(document)
    return [f"{error.json_path}: {error.message}" for error in found]


def monitoring_definitions() -> list[dict[str, Any]]:
    """The definitions of those kinds of the Prometheus Operator that the chart makes objects of."""
    return [yaml.safe_load(each.read()) for each in _MONITORING]


@cache
def _schema(api_version: str, kind: str, version: str) -> Schema | None:
    if custom := _custom().get((api_version, kind)):
        return custom
    definitions = _kubernetes(version)
    group, _, number = api_version.rpartition("/")
    wanted = {"group": group, "kind": kind, "version": number}
    for name, definition in definitions.items():
        if wanted in definition.get("x-kubernetes-group-version-kind", []):
            return {"$ref": f"#/definitions/{name}", "definitions": definitions}
    return None


@cache
def _kubernetes(version: str) -> dict[str, Schema]:
    document = json.loads(ModuleFile("k8s.io/kubernetes", f"v{version}", "api/openapi-spec/swagger.json").read())
    definitions: dict[str, Schema] = document["definitions"]
    for definition in definitions.values():
        _forbid_unknown(definition)
    for name in _NUMBERS_TOO:
        definitions[name]["type"] = ["string", "number"]
    return definitions


@cache
def _custom() -> dict[tuple[str, str], Schema]:
    texts = [*(path.read_bytes() for path in _OURS.glob("trainyard.dev_*.yaml")), *(each.read() for each in _GITOPS)]
    definitions = [yaml.safe_load(text) for text in texts]
    found = {}
    for definition in [*definitions, *monitoring_definitions()]:
        spec = definition["spec"]
        for version in spec["versions"]:
            schema = version["schema"]["openAPIV3Schema"]
            _forbid_unknown(schema)
            schema["properties"]["metadata"] = {"type": "object"}
            found[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema
    return found


def _forbid_unknown(schema: Any) -> None:
    """Refuse fields that aren't described, as strict validation does."""
    if isinstance(schema, list):
        for each in schema:
            _forbid_unknown(each)
    if not isinstance(schema, dict):
        return
    for each in schema.values():
        _forbid_unknown(each)
    open_to_all = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict) and not open_to_all:
        schema["additionalProperties"] = False


if __name__ == "__main__":
    for each in VERSIONS:
        _kubernetes(each)
    _custom()
