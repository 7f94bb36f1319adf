"""TrainingRuntime: what a platform team presets, so that a researcher's manifest stays short."""

from typing import Any, Literal

from pydantic import Field

from trainyard_api.base import Model, Name
from trainyard_api.job import JobSpec, Storage
from trainyard_api.template import Annotations, Labels, PodTemplate

DEFAULT_RUNTIME = "default"  # the name of the one that jobs get that name none


class RuntimeMetadata(Model):
    """The part of Kubernetes' object metadata that people write."""

    name: Name = Field(description="Name of the runtime; default: for every job that names none.")
    labels: Labels = Field({}, description="Labels; none.")
    annotations: Annotations = Field({}, description="Annotations; none.")


class RuntimeSpec(Model):
    """Presets: a job's own fields win."""

    template: PodTemplate = Field(default_factory=PodTemplate, description="The pods. Maps and lists are joined.")
    storage: Storage = Field(default_factory=Storage, description="Object storage.")


class TrainingRuntime(Model):
    """Presets for the TrainingJobs of a cluster."""

    api_version: Literal["trainyard.dev/v1alpha1"] = Field(description="trainyard.dev/v1alpha1")
    kind: Literal["TrainingRuntime"] = Field(description="TrainingRuntime")
    metadata: RuntimeMetadata = Field(description="Name, labels, annotations.")
    spec: RuntimeSpec = Field(default_factory=RuntimeSpec, description="What is preset.")


def with_runtime(spec: JobSpec, runtime: RuntimeSpec | None) -> JobSpec:
    """`spec` with the presets of `runtime` where it says nothing itself.

    Maps are joined key by key; lists are joined, the runtime's first, an item of the same name (env, volumes,
    volumeMounts: mountPath) only once.
    """
    if runtime is None:
        return spec
    preset = runtime.model_dump(exclude_unset=True, exclude_none=True)
    given = spec.model_dump(exclude_unset=True, exclude_none=True)
    return JobSpec.model_validate({**given, **{part: _joined(preset[part], given.get(part, {})) for part in preset}})


def _joined(preset: Any, given: Any) -> Any:
    if isinstance(preset, dict) and isinstance(given, dict):
        both = {key: _joined(preset[key], given[key]) for key in preset.keys() & given.keys()}
        return {**preset, **given, **both}
    if isinstance(preset, list) and isinstance(given, list):
        names = {_name(item) for item in given}
        return [item for item in preset if _name(item) not in names] + given
    return given


def _name(item: Any) -> str:
    """By what two items of a list are one; what a person writes as a name may be anything, also a list."""
    name = (item.get("mountPath") or item.get("name")) if isinstance(item, dict) else item
    return name if isinstance(name, str) else repr(item)
