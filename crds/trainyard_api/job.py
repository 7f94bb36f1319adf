"""TrainingJob: what to train, on how much, and what to do about faults."""

from typing import Annotated, Literal

from pydantic import Field

from trainyard_api import rules
from trainyard_api.base import Count, JobName, Model, Name, PositiveInt, Seconds, Text, Uri
from trainyard_api.recipe import Data, Recipe
from trainyard_api.status import Status
from trainyard_api.template import Annotations, Labels, PodTemplate
from trainyard_api.transitions import JOB_TRANSITIONS


class Elastic(Model):
    """Bounds within which the number of nodes may follow what the cluster has."""

    rules = rules.ELASTIC

    min_nodes: Annotated[int, Field(ge=1, le=4096)] = Field(1, description="Fewest nodes to run on; 1.")
    max_nodes: Annotated[int, Field(ge=1, le=4096)] = Field(description="Most nodes to run on.")
    shrink_after_seconds: Seconds = Field(60, description="Wait this long for missing nodes, then run on fewer; 60.")


class Storage(Model):
    """Where everything that outlives a pod is kept."""

    uri: Uri | None = Field(
        None, description="s3://bucket/prefix or file:///folder; absent: the runtime's, or ./trainyard-runs."
    )
    endpoint: Uri | None = Field(
        None, description="URL of an S3 service other than AWS; absent: the environment's, else AWS."
    )
    region: Annotated[str, Field(max_length=64)] | None = Field(None, description="Region; absent: the environment's.")
    credentials_secret: Name | None = Field(
        None,
        description="Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; absent: the pod's role. "
        "On one machine: the environment, profile or role.",
    )


class Script(Model):
    """Your own program under torchrun."""

    command: Annotated[list[Text], Field(min_length=1, max_length=256)] = Field(
        description="Program and arguments: [train.py, --epochs, '3'], or [-m, package.module]."
    )
    source: Uri | None = Field(
        None, description="Archive with the code: s3://.../code.tar.gz; absent: it's in the image."
    )
    data: Data | None = Field(
        None, description="Data for current_job().data(split); absent: the program brings its own."
    )


class Checkpoint(Model):
    """How often the state of training is saved."""

    every_steps: PositiveInt | None = Field(
        None, description="Optimiser steps between two checkpoints; absent: everySeconds decides."
    )
    every_seconds: Seconds | None = Field(
        None, description="Seconds between two checkpoints; absent: everySteps decides, without it 600."
    )
    keep: Annotated[int, Field(ge=1, le=1000)] = Field(3, description="Checkpoints kept, the newest first; 3.")


class Recovery(Model):
    """What is done about faults."""

    max_restarts: Count = Field(3, description="Restarts after faults of the program itself; 3.")
    node_loss_seconds: Seconds = Field(30, description="A node silent for this long is taken as lost; 30.")
    hang_seconds: Literal["auto"] | Seconds = Field(
        "auto", description="No step for this long is a hang; auto: far longer than steps usually take; auto."
    )


class JobSpec(Model):
    """What a TrainingJob asks for."""

    transitions = JOB_TRANSITIONS
    rules = rules.JOB_SPEC

    runtime: Name | None = Field(
        None,
        description="TrainingRuntime with presets for what isn't given here; absent: the one named default, if any.",
    )
    nodes: Annotated[int, Field(ge=1, le=4096)] = Field(1, description="Nodes wanted now; 1.")
    elastic: Elastic | None = Field(None, description="Bounds of the number of nodes; absent: exactly `nodes`.")
    processes_per_node: Literal["auto"] | Annotated[int, Field(ge=1, le=64)] = Field(
        "auto", description="Processes on each node; auto: the GPUs asked for, else 1; auto."
    )
    template: PodTemplate = Field(default_factory=PodTemplate, description="The pods. Left aside on one machine.")
    storage: Storage = Field(default_factory=Storage, description="Object storage.")
    recipe: Recipe | None = Field(None, description="The built-in life cycle. Exactly one of recipe and script.")
    script: Script | None = Field(None, description="Your own program. Exactly one of recipe and script.")
    checkpoint: Checkpoint = Field(default_factory=Checkpoint, description="Checkpoints.")
    recovery: Recovery = Field(default_factory=Recovery, description="Faults.")
    suspend: bool = Field(False, description="Stop after a checkpoint and free the nodes; false.")
    active_deadline_seconds: Seconds | None = Field(
        None, description="Longest running time over all attempts, suspended time left out; absent: no limit."
    )
    ttl_seconds_after_finished: Count | None = Field(
        None, description="Delete pods this long after the end; absent: they stay. The TrainingJob itself stays."
    )


class Metadata(Model):
    """The part of Kubernetes' object metadata that people write."""

    name: JobName = Field(description="Name of the job.")
    namespace: Name = Field("default", description="Namespace; default.")
    labels: Labels = Field({}, description="Labels; none.")
    annotations: Annotations = Field({}, description="Annotations; none.")


class TrainingJob(Model):
    """A model to be trained, from raw data to a published model."""

    api_version: Literal["trainyard.dev/v1alpha1"] = Field(description="trainyard.dev/v1alpha1")
    kind: Literal["TrainingJob"] = Field(description="TrainingJob")
    metadata: Metadata = Field(description="Name, namespace, labels, annotations.")
    spec: JobSpec = Field(description="What is asked for.")
    status: Status | None = Field(None, description="What was observed. Written by the operator.")
