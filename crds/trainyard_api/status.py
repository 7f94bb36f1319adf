"""What is observed of a TrainingJob."""

from typing import Annotated, Literal

from pydantic import Field

from trainyard_api.base import Count, Model, Text

Time = Annotated[str, Field(max_length=32)]


class Condition(Model):
    """A Kubernetes condition."""

    type: Annotated[str, Field(max_length=64)] = Field(description="What is said.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it's so.")
    reason: Annotated[str, Field(max_length=64)] = Field(description="Why, in one word.")
    message: Annotated[str, Field(max_length=4096)] = Field("", description="Why, in plain words.")
    last_transition_time: Time = Field(description="When it became so (RFC 3339).")
    observed_generation: Count | None = Field(None, description="Generation of the spec this is about.")


class Progress(Model):
    """How far training is."""

    stage: Literal["prepare", "train", "publish"] = Field("train", description="What is being done.")
    epoch: Count = Field(0, description="Epochs completed.")
    epochs: Count = Field(0, description="Epochs asked for.")
    step: Count = Field(0, description="Optimiser steps done.")
    steps: Count = Field(0, description="Optimiser steps in all; 0: not known.")
    samples_per_second: Annotated[float, Field(ge=0)] = Field(0.0, description="Samples per second over all ranks.")
    loss: float | None = Field(None, description="Training loss lately.")
    seconds_left: Count | None = Field(None, description="Expected seconds to the end of training.")


class RestartCounts(Model):
    """Restarts so far, by cause."""

    user: Count = Field(0, description="The program's own faults.")
    infrastructure: Count = Field(0, description="Preemption, drain, eviction, lost nodes.")
    attempt: Count = Field(0, description="Restarts for which a pod was made anew; pods carry the number as a label.")
    last_time: Time | None = Field(None, description="When pods were last made anew, or will be (RFC 3339).")
    last_cause: Annotated[str, Field(max_length=64)] | None = Field(None, description="Cause of the last restart.")


class CheckpointStatus(Model):
    """The newest committed checkpoint."""

    uri: Text = Field(description="Where it is.")
    step: Count = Field(description="Optimiser step it holds.")
    time: Time = Field(description="When it was committed (RFC 3339).")


class ModelStatus(Model):
    """The published model."""

    uri: Text = Field(description="Where it is.")
    digest: Annotated[str, Field(max_length=128)] = Field(description="Digest of its files.")
    metrics: Annotated[dict[str, float], Field(max_length=64)] = Field({}, description="Metrics on the test split.")


class Status(Model):
    """What was observed of a TrainingJob."""

    observed_generation: Count | None = Field(None, description="Generation of the spec last acted on.")
    phase: Annotated[str, Field(max_length=32)] = Field("Pending", description="One word for people.")
    reason: Annotated[str, Field(max_length=64)] = Field("", description="Why it is so, in one word.")
    message: Annotated[str, Field(max_length=4096)] = Field("", description="Why it is so, in plain words.")
    conditions: Annotated[list[Condition], Field(max_length=16)] = Field(
        [],
        description="Conditions.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    nodes: Count = Field(0, description="Nodes in use.")
    nodes_ready: Count = Field(0, description="Nodes whose pod is ready.")
    unschedulable_since: Time | None = Field(None, description="Since when some pod finds no node (RFC 3339).")
    selector: Text = Field("", description="Label selector of the pods (scale subresource).")
    restarts: RestartCounts = Field(default_factory=RestartCounts, description="Restarts by cause.")
    progress: Progress | None = Field(None, description="How far training is.")
    checkpoint: CheckpointStatus | None = Field(None, description="The newest checkpoint.")
    model: ModelStatus | None = Field(None, description="The published model.")
    runtime: Text | None = Field(None, description="TrainingRuntime whose presets are in use.")
    start_time: Time | None = Field(None, description="First start (RFC 3339).")
    running_since: Time | None = Field(None, description="Start of the running time not yet counted (RFC 3339).")
    running_seconds: Count = Field(0, description="Running time counted so far, suspended time left out.")
    completion_time: Time | None = Field(None, description="End (RFC 3339).")
