"""The CustomResourceDefinition of TrainingJob, generated from the types.

python -m trainyard_api.crd [FOLDER]     # writes trainyard.dev_trainingjobs.yaml there; default: crds/
"""

import copy
import sys
from pathlib import Path
from typing import Any

import yaml

from trainyard_api import GROUP, VERSION
from trainyard_api.base import NAME
from trainyard_api.job import TrainingJob
from trainyard_api.schema import Schema, structural

FILE = f"{GROUP}_trainingjobs.yaml"

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
    """The CRD as a Kubernetes object."""
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _schema()},
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
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"trainingjobs.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": "TrainingJob",
                "listKind": "TrainingJobList",
                "plural": "trainingjobs",
                "singular": "trainingjob",
                "shortNames": ["tj"],
                "categories": ["all", "trainyard"],
            },
            "versions": [version],
        },
    }


def _schema() -> Schema:
    schema = copy.deepcopy(structural(TrainingJob))
    fields = schema["properties"]
    # The API server owns these three and checks them itself; of the metadata it lets a schema see the name only.
    fields["apiVersion"] = {"type": "string", "maxLength": 256, "description": fields["apiVersion"]["description"]}
    fields["kind"] = {"type": "string", "maxLength": 256, "description": fields["kind"]["description"]}
    fields["metadata"] = {"type": "object"}
    schema["required"] = ["spec"]
    schema["x-kubernetes-validations"] = [
        {
            "rule": f"self.metadata.name.matches('{NAME}') && size(self.metadata.name) <= 63",
            "message": "metadata.name: 1 to 63 of a-z, 0-9 and -, the first and the last no -",
        }
    ]
    # kubectl scale and an autoscaler read this field, and take an absent one as 0.
    fields["spec"]["properties"]["nodes"]["default"] = 1
    return schema


def text() -> str:
    """The file's text."""
    head = "# Generated from crds/trainyard_api by `make generate`; edit the types instead.\n"
    return head + yaml.dump(definition(), Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Without aliases: kubectl reads them, people don't."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def main(arguments: list[str]) -> int:
    """Write the file anew."""
    folder = Path(arguments[0]) if arguments else Path(__file__).parents[1]
    (folder / FILE).write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
