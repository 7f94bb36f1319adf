"""A job being converted: its values so far, and notes on what doesn't come over."""

from dataclasses import dataclass, field
from typing import Any

Values = dict[str, Any]

_METADATA = ("name", "namespace", "labels", "annotations")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass
class Converted:
    """`notes` become comments above the manifest."""

    metadata: Values = field(default_factory=dict)
    spec: Values = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def note(self, what: str) -> None:
        """Say something once."""
        if what not in self.notes:
            self.notes.append(what)

    def left_over(self, path: str, values: Values, why: str = "a TrainingJob has no such field") -> None:
        """Say of every value that nothing has taken that it's left out."""
        for name in values:
            self.note(f"{path}.{name} is left out: {why}")

    def take_metadata(self, given: Values) -> None:
        """Name, namespace, labels and annotations."""
        self.metadata = {name: given[name] for name in _METADATA if given.get(name)}
        if "name" not in self.metadata:
            self.metadata = {"name": str(given.get("generateName") or "job").rstrip("-"), **self.metadata}
            self.note("metadata.name: a TrainingJob goes on under its name, so it has a fixed one; choose it")
        annotations = {**self.metadata.get("annotations", {})}
        if annotations.pop(_LAST_APPLIED, None):
            self.metadata["annotations"] = annotations
        if not self.metadata.get("annotations"):
            self.metadata.pop("annotations", None)

    def manifest(self) -> Values:
        """The TrainingJob."""
        first = ("nodes", "elastic", "processesPerNode", "template", "storage", "script")
        ordered = {name: self.spec[name] for name in first if self.spec.get(name) not in (None, {}, [])}
        rest = {name: value for name, value in self.spec.items() if name not in first and value is not None}
        return {
            "apiVersion": "trainyard.dev/v1alpha1",
            "kind": "TrainingJob",
            "metadata": self.metadata,
            "spec": {**ordered, **rest},
        }
