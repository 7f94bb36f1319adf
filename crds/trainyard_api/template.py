"""The pod fields that people really set, with Kubernetes' own names and meanings."""

from typing import Annotated, Any, Literal, Required

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from trainyard_api.base import Column, Model, Name, Text

Quantities = Annotated[dict[str, Annotated[str, Field(max_length=64)] | int], Field(max_length=32)]
Labels = Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=64)]
Annotations = Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=64)]
Objects = Annotated[list[dict[str, Any]], Field(max_length=128)]


class Resources(Model):
    """What a pod asks for and may use."""

    requests: Quantities = Field({}, description="Resources reserved: {cpu: 4, memory: 16Gi}; none.")
    limits: Quantities = Field({}, description="Resources at most: {nvidia.com/gpu: 8}; none.")


class Topology(Model):
    """Where the pods of a job lie to each other."""

    key: Column = Field(description="Node label: topology.kubernetes.io/zone, kubernetes.io/hostname, a rack's.")
    policy: Literal["spread", "pack"] = Field(
        "pack", description="pack: all pods where this label is the same; spread: evenly over its values; pack."
    )


@with_config(ConfigDict(extra="forbid", strict=True))
class Variable(TypedDict, total=False):  # a dict: it's handed on as it is
    """An environment variable, as in a container."""

    name: Required[Annotated[str, Field(min_length=1, max_length=1024, description="Its name.")]]
    value: Annotated[str, Field(max_length=32768, description="Its value; what looks like a number goes into quotes.")]
    valueFrom: Annotated[
        dict[str, Any], Field(max_length=1, description="Where its value comes from, as in a container.")
    ]


class PodTemplate(Model):
    """How the pods of a job look. On one machine this is left aside."""

    image: Annotated[str, Field(max_length=512)] | None = Field(None, description="Container image; absent: ours.")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        None, description="Always, IfNotPresent or Never; absent: the cluster's default."
    )
    image_pull_secrets: Annotated[list[Name], Field(max_length=16)] = Field(
        [], description="Names of pull secrets; none."
    )
    resources: Resources = Field(default_factory=Resources, description="CPU, memory and GPUs of each pod.")
    node_selector: Labels = Field({}, description="Labels a node must have; none.")
    tolerations: Objects = Field([], description="Taints tolerated, as in a pod; none.")
    env: Annotated[list[Variable], Field(max_length=128)] = Field(
        [], description="Environment variables, each {name, value} or {name, valueFrom}, as in a container; none."
    )
    env_from: Objects = Field([], description="Sources of environment variables, as in a container; none.")
    volumes: Objects = Field([], description="Volumes, as in a pod; none.")
    volume_mounts: Objects = Field([], description="Volume mounts, as in a container; none.")
    service_account_name: Name | None = Field(None, description="Service account; absent: the namespace's default.")
    priority_class_name: Column | None = Field(None, description="Priority class; absent: the cluster's default.")
    scheduler_name: Column | None = Field(None, description="Scheduler; absent: the cluster's default.")
    labels: Labels = Field({}, description="Labels put on the pods; none.")
    annotations: Annotations = Field({}, description="Annotations put on the pods; none.")
    affinity: Annotated[dict[str, Any], Field(max_length=3)] = Field({}, description="Affinity, as in a pod; none.")
    security_context: Annotated[dict[str, Any], Field(max_length=32)] = Field(
        {}, description="Pod security context; absent: what the restricted Pod Security level wants."
    )
    termination_grace_period_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        60, description="Time to write a checkpoint after SIGTERM; 60."
    )
    topology: Topology | None = Field(None, description="Spread or pack the pods over a node label; absent: neither.")
    gang: Literal["none", "coscheduling", "volcano"] = Field(
        "none", description="Scheduler for which a PodGroup says that all pods start together or none does; none."
    )
    shm_size: Text | None = Field(None, description="Size of /dev/shm; absent: half the memory limit.")
