"""Strict JSON Schemas of Kubernetes' objects, of those of the Prometheus Operator, and of ours.

`python -m support.schemas` fills the cache: the OpenAPI documents inside Kubernetes' own Go module.
"""

import gzip
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator

from support import go

Schema = dict[str, Any]

VERSIONS = ("1.33.6", "1.34.2", "1.37.2")  # the oldest the chart takes, the one of the tests' API server, the newest
PROMETHEUS_OPERATOR = "v0.85.0"
CACHE = Path.home() / ".cache" / "trainyard" / "schemas"
_MONITORING = ("servicemonitors", "podmonitors", "prometheusrules")
_DEFINITIONS = Path(__file__).parents[2] / "crds"
_NUMBERS_TOO = ("io.k8s.apimachinery.pkg.api.resource.Quantity", "io.k8s.apimachinery.pkg.util.intstr.IntOrString")


def problems(document: dict[str, Any], version: str) -> list[str]:
    """What Kubernetes `version` would find wrong with `document`, fields it doesn't know included; [] if nothing."""
    schema = _schema(document["apiVersion"], document["kind"], version)
    if schema is None:
        return [f"Kubernetes {version} has no {document['apiVersion']} {document['kind']}"]
    found = Draft7Validator(schema).iter_errors(document)
    return [f"{error.json_path}: {error.message}" for error in found]


def monitoring_definitions() -> list[dict[str, Any]]:
    """The definitions of those kinds of the Prometheus Operator that the chart makes objects of."""
    texts = [_cached(f"{name}-{PROMETHEUS_OPERATOR}.yaml", partial(_monitoring, name)) for name in _MONITORING]
    return [yaml.safe_load(text) for text in texts]


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
    document = json.loads(gzip.decompress(_cached(f"kubernetes-{version}.json.gz", partial(_openapi, version))))
    definitions: dict[str, Schema] = document["definitions"]
    for definition in definitions.values():
        _forbid_unknown(definition)
    for name in _NUMBERS_TOO:
        definitions[name]["type"] = ["string", "number"]
    return definitions


@cache
def _custom() -> dict[tuple[str, str], Schema]:
    definitions = [yaml.safe_load(path.read_bytes()) for path in _DEFINITIONS.glob("*.yaml")]
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


def _cached(name: str, make: Callable[[], bytes]) -> bytes:
    path = CACHE / name
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        content = make()
        with tempfile.NamedTemporaryFile(dir=CACHE, delete=False) as scratch:
            scratch.write(content)
        Path(scratch.name).replace(path)  # by one rename: other test processes may be at it too
    return path.read_bytes()


def _openapi(version: str) -> bytes:
    return gzip.compress(_file("k8s.io/kubernetes", f"v{version}", "api/openapi-spec/swagger.json"))


def _monitoring(name: str) -> bytes:
    path = f"example/prometheus-operator-crd/monitoring.coreos.com_{name}.yaml"
    return _file("github.com/prometheus-operator/prometheus-operator", PROMETHEUS_OPERATOR, path)


def _file(module: str, version: str, path: str) -> bytes:
    """One file of a Go module, whose checksum Go checks; nothing else of it is kept."""
    folder = tempfile.mkdtemp()
    try:
        done = subprocess.run(
            [go.command(), "mod", "download", "-json", f"{module}@{version}"],
            cwd="/",
            env={**os.environ, "GOMODCACHE": folder, "GOFLAGS": "-modcacherw"},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{module}@{version} can't be downloaded: {done.stdout}{done.stderr}")
        return Path(json.loads(done.stdout)["Dir"], path).read_bytes()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    for each in VERSIONS:
        _kubernetes(each)
    _custom()
