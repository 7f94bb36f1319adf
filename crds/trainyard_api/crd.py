"""The CustomResourceDefinitions of TrainingJob and TrainingRuntime, generated from the types.

python -m trainyard_api.crd [FOLDER]     # writes trainyard.dev_*.yaml there; default: crds/
"""

import copy
import sys
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from trainyard_api import GROUP, VERSION
from trainyard_api.base import JOB_NAME_LENGTH, NAME
from trainyard_api.job import TrainingJob
from trainyard_api.runtime import TrainingRuntime
from trainyard_api.schema import Schema, structural

FILE = f"{GROUP}_trainingjobs.yaml"
RUNTIME_FILE = f"{GROUP}_trainingruntimes.yaml"

_COLUMNS = (
    ("Phase", "string", ".status.phase", "What the job is doing.", 0),
    ("Nodes", "integer", ".status.nodesReady", "Nodes that are ready.", 0),
    ("Epoch", "integer", ".status.progress.epoch", "Epochs completed.", 0),
    ("Step", "integer", ".status.progress.step", "Optimiser steps done.", 0),
    ("Of", "integer", ".status.progress.steps", "Optimiser steps in all.", 0),
    ("Loss", "number", ".status.progress.loss", "Training loss lately.", 0),
    ("Restarts", "integer", ".status.restarts.user", "Restarts after faults of the program itself.", 0),
    ("Lost", "integer", ".status.restarts.infrastructure", "Restarts after faults of the infrastructure.", 1),
    ("Reason", "string", ".status.reason", "Why it is so, in one word.", 0),
    ("Age", "date", ".metadata.creationTimestamp", "Since it was created.", 0),
    ("Message", "string", ".status.message", "Why it is so, in plain words.", 1),
)


def definition() -> dict[str, Any]:
    """The CRD of TrainingJob as a Kubernetes object."""
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _job_schema()},
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.nodes",
                "statusReplicasPath": ".status.nodes",
                "labelSelectorPath": ".status.selector",
            },
        },
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path, "description": text, "priority": priority}
            for name, kind, path, text, priority in _COLUMNS
        ],
    }
    return _definition("TrainingJob", "tj", "Namespaced", version)


def runtime_definition() -> dict[str, Any]:
    """The CRD of TrainingRuntime as a Kubernetes object."""
    columns = (("Image", "string", ".spec.template.image"), ("Storage", "string", ".spec.storage.uri"))
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _schema(TrainingRuntime)},
        "additionalPrinterColumns": [{"name": name, "type": kind, "jsonPath": path} for name, kind, path in columns],
    }
    return _definition("TrainingRuntime", "tr", "Cluster", version)


def _definition(kind: str, short: str, scope: str, version: dict[str, Any]) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": scope,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["all", "trainyard"] if scope == "Namespaced" else ["trainyard"],
            },
            "versions": [version],
        },
    }


def _schema(model: type[BaseModel]) -> Schema:
    schema = copy.deepcopy(structural(model))
    fields = schema["properties"]
    # The API server owns these three and checks them itself; of the metadata it lets a schema see the name only.
    fields["apiVersion"] = {"type": "string", "maxLength": 256, "description": fields["apiVersion"]["description"]}
    fields["kind"] = {"type": "string", "maxLength": 256, "description": fields["kind"]["description"]}
    fields["metadata"] = {"type": "object"}
    return schema


def _job_schema() -> Schema:
    schema = _schema(TrainingJob)
    fields = schema["properties"]
    schema["required"] = ["spec"]
    schema["x-kubernetes-validations"] = [
        {
            "rule": f"self.metadata.name.matches('{NAME}') && size(self.metadata.name) <= {JOB_NAME_LENGTH}",
            "message": f"metadata.name: 1 to {JOB_NAME_LENGTH} of a-z, 0-9 and -, the first and the last no -",
        }
    ]
    # kubectl scale and an autoscaler read this field, and take an absent one as 0.
    fields["spec"]["properties"]["nodes"]["default"] = 1
    return schema


def text(definition: dict[str, Any]) -> str:
    """A definition's file."""
    head = "# Generated from crds/trainyard_api by `make generate`; edit the types instead.\n"
    return head + yaml.dump(definition, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Without aliases: kubectl reads them, people don't."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def main(arguments: list[str]) -> int:
    """Write the files anew."""
    folder = Path(arguments[0]) if arguments else Path(__file__).parents[1]
    for name, generated in ((FILE, definition()), (RUNTIME_FILE, runtime_definition())):
        (folder / name).write_text(text(generated), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
