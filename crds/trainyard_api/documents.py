"""The JSON documents that the parts of Trainyard hand to each other inside a job."""

from typing import Annotated, Any, Literal

from pydantic import Field

from trainyard_api.base import Count, Model, PositiveInt
from trainyard_api.job import JobSpec
from trainyard_api.recipe import MISSING_VALUES
from trainyard_api.status import CheckpointStatus, ModelStatus, Progress

Task = Literal["binary", "multiclass", "regression"]


class ResolvedJob(Model):
    """A job ready to be launched: defaults filled in, every URI absolute, sizes decided.

    It is one JSON file, the same on one machine and on a cluster; its path is in TRAINYARD_JOB.
    """

    name: str = Field(description="metadata.name")
    namespace: str = Field(description="metadata.namespace")
    uid: str = Field(description="Identifies this object; the rendezvous id.")
    spec: JobSpec = Field(description="The spec, with storage.uri and data URIs absolute.")
    nodes: PositiveInt = Field(1, description="Nodes to run on.")
    processes_per_node: PositiveInt = Field(1, description="Ranks per node.")
    folder: str | None = Field(None, description="Folder of the manifest; a script's command runs in it.")


class Shard(Model):
    """One file of a data set."""

    key: str = Field(description="Place, relative to the manifest; or the URI of a file that stays where it was.")
    rows: Count = Field(description="Samples in it.")
    bytes: Count = Field(description="Size in bytes.")
    text_bytes: Count = Field(0, description="Bytes of its texts and byte strings, not compressed.")
    xxh3: str = Field(description="xxh3_64 of its bytes, 16 hex digits.")


class FieldSpec(Model):
    """One field of every sample."""

    dtype: str = Field(description="numpy name of the element type: float32, uint8, int64; or bytes, str, json.")
    shape: list[int] = Field([], description="Shape of one sample's value; []: a scalar.")


class DatasetManifest(Model):
    """What a data set holds: `data/<hash>/manifest.json`. Shards lie beside it."""

    version: Literal[1] = 1
    format: Literal["parquet", "webdataset"] = Field(description="Format of the shards.")
    fields: dict[str, FieldSpec] = Field(description="Fields of every sample, by name.")
    splits: dict[str, list[Shard]] = Field(description="Shards of train, validation and test, in order.")
    raw: dict[str, list[Shard]] = Field(
        {}, description="Raw inputs of a split, row by row as in its shards, where they're kept."
    )
    hash: str = Field(description="xxh3_128 of the manifest's canonical JSON with this field empty, 32 hex digits.")

    def rows(self, split: str) -> int:
        """Samples in `split`; 0 if there is no such split."""
        return sum(shard.rows for shard in self.splits.get(split, []))


class PlanInput(Model):
    """One raw column that the model takes."""

    name: str = Field(description="Name of the column.")
    kind: Literal["numeric", "categorical", "tensor"] = Field(description="numeric and categorical are scalars.")
    nullable: bool = Field(False, description="Whether it may be missing: it was in training, and is filled in.")
    dtype: str = Field("float64", description="float64 for numeric, str for categorical, numpy name for tensor.")
    shape: list[int] = Field([], description="Shape of one sample; [] for scalars.")
    layout: Literal["", "HW", "HWC", "CHW"] = Field("", description="Meaning of a tensor's axes; empty: none.")


class Step(Model):
    """One step of a preparation plan with its fitted statistics. See docs/preparation.md for each `op`."""

    op: Literal[
        "drop_duplicates",
        "drop_missing",
        "drop_outliers",
        "balance",
        "fill",
        "clip",
        "scale",
        "onehot",
        "ordinal",
        "scale_tensor",
    ]
    column: str | None = Field(None, description="Column it works on; absent: rows as a whole.")
    value: float | str | None = Field(None, description="fill: what stands for a missing value.")
    low: float | None = Field(None, description="clip, drop_outliers: lower bound.")
    high: float | None = Field(None, description="clip, drop_outliers: upper bound.")
    offset: float | list[float] | None = Field(
        None, description="scale: (x - offset) / factor; per channel for tensors."
    )
    factor: float | list[float] | None = Field(None, description="scale: never 0.")
    categories: list[str] | None = Field(
        None, description="onehot, ordinal: in order; the slot after the last: unknown."
    )
    arguments: dict[str, Any] = Field({}, description="What the row steps were asked for.")


class Target(Model):
    """What the model predicts."""

    name: str = Field(description="Name of the target column.")
    task: Task = Field(description="binary, multiclass or regression.")
    classes: list[str] = Field([], description="Names of the classes, by index; empty for regression.")
    offset: float = Field(0.0, description="regression: trained on (y - offset) / factor.")
    factor: float = Field(1.0, description="regression: never 0.")


class Plan(Model):
    """preparation.json: how raw columns become the model's input. Executable by anyone who can read JSON."""

    version: Literal[1] = 1
    inputs: list[PlanInput] = Field(description="Raw columns, in order. One tensor, or any number of scalars.")
    steps: list[Step] = Field(description="In the order they're applied.")
    features: list[str] = Field(description="Name of each of the `width` features; empty for a tensor.")
    target: Target = Field(description="What is predicted.")
    missing_values: list[str] = Field(MISSING_VALUES, description="Texts that mean a missing value in CSV.")


class InputSignature(Model):
    """One input tensor of a served model."""

    name: str
    datatype: Literal["FP64", "FP32", "INT64", "UINT8", "BYTES"]
    shape: list[int] = Field(description="First axis -1: the batch.")
    nullable: bool = Field(False, description="Whether null, NaN (FP64) or null/empty text (BYTES) means missing.")
    categories: list[str] = Field([], description="Known values (BYTES); the torch.export program takes their index.")


class OutputSignature(Model):
    """One output tensor of a served model."""

    name: str
    datatype: Literal["FP64", "FP32", "INT64", "UINT8", "BYTES"]
    shape: list[int]


class Signature(Model):
    """signature.json: what a published model takes and gives."""

    name: str = Field(description="Name of the model: the job's name.")
    version: str = Field(description="Version: 12 hex digits.")
    task: Task | None = Field(
        None, description="Absent: a network from a script, whose tensors go in and out as they are."
    )
    inputs: list[InputSignature]
    outputs: list[OutputSignature] = Field(
        description="classification: label BYTES [-1], probabilities FP32 [-1, classes]; "
        "regression: prediction FP32 [-1]; without a task: what the network answers."
    )
    classes: list[str] = Field([], description="Names of the classes, by index of the probabilities.")
    missing_values: list[str] = Field(
        MISSING_VALUES, description="Texts that mean a missing value in rows given as CSV, as in the training data."
    )


Rows = Annotated[int, Field(ge=0)]


class CardStep(Model):
    """What one step did to the rows of one split."""

    step: str
    split: str = Field(description="train, validation, test or all.")
    rows_in: Rows
    rows_out: Rows
    why: str = Field(description="In plain words.")


class ColumnCard(Model):
    """One column as it was found in the training split."""

    name: str
    kind: str
    missing: Rows
    mean: float | None = None
    deviation: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    distinct: Rows | None = None
    filled: Rows | None = Field(None, description="Missing values that were filled in; absent: none are.")
    clipped: Rows | None = Field(None, description="Outliers that were clipped to a bound; absent: none are.")


class DataCard(Model):
    """card.json: where the data came from, what was done to it, and what it looks like."""

    source: str
    files: Rows
    bytes: Rows
    rows: Rows = Field(description="Rows read.")
    bad_samples: Rows = Field(0, description="Samples that couldn't be read, left out.")
    bad_examples: list[str] = Field([], description="Where some of them are, and why each is bad.")
    steps: list[CardStep]
    columns: list[ColumnCard]
    splits: dict[str, Rows]
    class_counts: dict[str, dict[str, int]] = Field({}, description="Per split, samples of each class.")


Bytes = Annotated[int, Field(ge=0)]


class Gpu(Model):
    """One GPU."""

    name: str = Field(description="Its model.")
    memory_bytes: Bytes = Field(description="Its memory; 0: not told.")


class Machine(Model):
    """machine.json: what a run was made on."""

    processor: str = Field(description="Model of the processor.")
    cores: PositiveInt = Field(description="Cores that the job may use.")
    memory_bytes: Bytes = Field(description="Memory that the job may use.")
    gpus: list[Gpu] = Field([], description="GPUs that the job may use.")
    python: str = Field(description="Version of Python.")
    torch: str = Field(description="Version of torch.")
    trainyard: str = Field(description="Version of Trainyard.")


class Fault(Model):
    """Why a process ended: a rank's fault file, and the pod's termination message."""

    cause: str = Field(
        description="One word in CamelCase: UserError, OutOfMemory, LossNotFinite, Hung, StorageDenied, ..."
    )
    message: str = Field(description="One plain sentence.")
    rank: int | None = None
    exit_code: int | None = None
    exception: str | None = Field(None, description="Type and text of the exception.")
    where: str = ""
    remedy: str = ""
    last_lines: list[str] = Field([], description="End of the rank's output.")


class NodeReport(Model):
    """What the launcher of a pod says of itself: at /report on its port while it runs, and as termination message."""

    version: Literal[1] = 1
    stage: str = Field("", description="prepare, train, script, publish, report; empty: not begun.")
    waiting: str = Field("", description="What it waits for, in plain words: for node 0 to answer; empty: nothing.")
    progress: Progress | None = Field(None, description="How far training is; node 0 only.")
    restarts: Count = Field(0, description="Restarts in place after faults of the program itself, by this launcher.")
    fault: Fault | None = Field(None, description="The last fault; at the end: why it ended.")
    heartbeats: bool = Field(False, description="Whether the program has sent any: else hangs aren't noticed.")
    checkpoint: CheckpointStatus | None = Field(None, description="The newest committed checkpoint; node 0 only.")
    model: ModelStatus | None = Field(None, description="The published model; node 0 only.")
