"""The built-in life cycle of a model: `spec.recipe`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from trainyard_api import rules
from trainyard_api.base import Column, Count, Model, PositiveFloat, PositiveInt, Share, Text, Uri

Columns = Annotated[list[Column], Field(max_length=4096)]
Metric = Literal["accuracy", "precision", "recall", "f1", "rocAuc", "logLoss", "confusionMatrix", "mse", "mae", "r2"]

MISSING_VALUES = ["", "NA", "N/A", "NaN", "nan", "null", "?"]
"""Texts that mean a missing value in CSV, if the manifest doesn't name others."""


class GivenSplits(Model):
    """Splits that already exist, each at its own place."""

    train: Uri = Field(description="Where the training data is.")
    validation: Uri | None = Field(None, description="Where the validation data is; absent: none is used.")
    test: Uri | None = Field(None, description="Where the test data is; absent: none is used.")


class Split(Model):
    """How one data set is divided into training, validation and test."""

    rules = rules.SPLIT

    validation: Annotated[float, Field(ge=0, lt=1)] = Field(0.1, description="Share of samples for validation; 0.1.")
    test: Annotated[float, Field(ge=0, lt=1)] = Field(0.2, description="Share of samples for the test; 0.2.")
    seed: Count = Field(0, description="Seed of the random division; 0.")
    key: Column | None = Field(
        None,
        description="Column whose hash decides the split, so that rows which share a value stay together; "
        "absent: rows are divided at random.",
    )
    stratify: bool = Field(False, description="Keep the share of every class the same in each split; false.")


class Data(Model):
    """Where samples come from and what they mean."""

    rules = rules.DATA

    uri: Uri | None = Field(
        None,
        description="File, folder or pattern: s3://bucket/digits/*.parquet, file:///data/x.csv, or a path relative to "
        "the manifest (on a cluster: to storage.uri). Exactly one of uri and splits.",
    )
    splits: GivenSplits | None = Field(None, description="Given splits. Exactly one of uri and splits.")
    format: Literal["auto", "csv", "parquet", "jsonl", "webdataset", "images"] = Field(
        "auto",
        description="auto tells by the file name: .csv, .parquet, .jsonl, .tar, or a folder of class folders; auto.",
    )
    target: Column | None = Field(
        None,
        description="Column to predict; for webdataset the extension that holds the class (cls); "
        "absent: an image folder's classes, else there is none.",
    )
    task: Literal["auto", "binary", "multiclass", "regression"] = Field(
        "auto", description="What is predicted; auto decides by the target's type and values; auto."
    )
    categorical: Columns = Field([], description="Numeric columns whose values are names of categories; none.")
    missing_values: Annotated[list[Text], Field(max_length=64)] = Field(
        MISSING_VALUES,
        description="Texts that mean a missing value in CSV; ['', NA, N/A, NaN, nan, 'null', '?'].",
    )
    split: Split = Field(default_factory=Split, description="How the data is divided.")
    max_bad_share: Share = Field(
        0.01, description="Share of unreadable samples above which the run stops; each one is reported; 0.01."
    )


class Missing(Model):
    """What is done about missing values, by column type."""

    numeric: Literal["drop", "mean", "median", "mode", "constant"] = Field("median", description="For numbers; median.")
    categorical: Literal["drop", "mode", "constant"] = Field("constant", description="For categories; constant.")
    numeric_constant: float = Field(0.0, description="The constant for numbers; 0.")
    categorical_constant: Text = Field("missing", description="The constant for categories; missing.")


class Outliers(Model):
    """What is done about numbers far from the rest. Bounds are fitted on the training split."""

    rules = rules.OUTLIERS

    method: Literal["none", "iqr", "zscore"] = Field(
        "none", description="iqr: quartiles -/+ factor x their range; zscore: mean -/+ factor x deviation; none."
    )
    action: Literal["clip", "drop"] = Field("clip", description="clip to the bound, or drop the training row; clip.")
    factor: PositiveFloat | None = Field(None, description="How far is too far; absent: 1.5 for iqr, 3 for zscore.")


class ImageShape(Model):
    """The shape every image is brought to; each value taken from the first image if absent."""

    height: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        None, description="Height in pixels; absent: the first image's."
    )
    width: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        None, description="Width in pixels; absent: the first image's."
    )
    channels: Literal[1, 3] | None = Field(None, description="1 for grey, 3 for colour; absent: the first image's.")


class Prepare(Model):
    """How data is cleaned and brought into numbers. Fitted on the training split only."""

    drop: Columns = Field([], description="Columns to leave out; none.")
    duplicates: Literal["drop", "keep"] = Field("drop", description="Rows equal in every column; drop.")
    missing: Missing = Field(default_factory=Missing, description="Missing values.")
    outliers: Outliers = Field(default_factory=Outliers, description="Outliers.")
    scale: Literal["none", "standard", "minmax", "symmetric", "robust"] = Field(
        "standard",
        description="standard: mean 0 and deviation 1; minmax: [0, 1]; symmetric: [-1, 1]; "
        "robust: median 0 and quartile range 1; standard.",
    )
    categories: Literal["onehot", "ordinal"] = Field("onehot", description="How categories become numbers; onehot.")
    max_categories: Annotated[int, Field(ge=2, le=10_000)] = Field(
        100, description="Categories kept per column, the most frequent first; the rest are `unknown`; 100."
    )
    balance: Literal["none", "oversample", "undersample"] = Field(
        "none", description="Make the classes of the training split equally frequent; none."
    )
    image: ImageShape = Field(default_factory=ImageShape, description="Shape of images.")


class ModelSpec(Model):
    """Which network is trained."""

    rules = rules.MODEL_SPEC

    type: Annotated[str, Field(max_length=256, pattern=r"^([a-z][a-z0-9]*|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$")] = Field(
        "mlp", description="mlp, cnn, or a class of your own as module:Class; mlp."
    )
    hidden: Annotated[list[PositiveInt], Field(max_length=64)] = Field(
        [128, 64], description="Widths of the hidden layers (mlp), or of the layer before the output (cnn); [128, 64]."
    )
    channels: Annotated[list[PositiveInt], Field(min_length=1, max_length=16)] = Field(
        [16, 32], description="Channels of the convolution blocks (cnn), each halves height and width; [16, 32]."
    )
    kernel_size: Annotated[int, Field(ge=1, le=15)] = Field(3, description="Height and width of the kernels (cnn); 3.")
    activation: Literal["relu", "gelu", "tanh", "silu"] = Field("relu", description="Activation; relu.")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="Share of activations dropped; 0.")
    batch_norm: bool = Field(False, description="Batch normalisation after each hidden layer; false.")
    args: dict[str, Any] = Field(
        {}, max_length=64, description="Keyword arguments for a class of your own, passed as they are; none."
    )


class Optimizer(Model):
    """The optimiser and its constants."""

    rules = rules.OPTIMIZER

    type: Literal["sgd", "adam", "adamw"] = Field("adamw", description="sgd, adam or adamw; adamw.")
    learning_rate: PositiveFloat = Field(0.001, description="Learning rate after the warm-up; 0.001.")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="Momentum (sgd); 0.")
    nesterov: bool = Field(False, description="Nesterov momentum (sgd; needs momentum above 0); false.")
    weight_decay: Annotated[float, Field(ge=0)] = Field(0.0, description="L2 penalty, decoupled for adamw; 0.")
    beta1: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="Decay of the first moment (adam, adamw); 0.9.")
    beta2: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.999, description="Decay of the second moment (adam, adamw); 0.999."
    )
    epsilon: PositiveFloat = Field(1e-8, description="Added to the denominator (adam, adamw); 1e-08.")


class Schedule(Model):
    """How the learning rate changes over the steps."""

    type: Literal["constant", "step", "cosine"] = Field("constant", description="constant, step or cosine; constant.")
    warmup_steps: Count = Field(0, description="Steps over which the rate rises linearly from 0; 0.")
    step_epochs: PositiveInt = Field(10, description="Epochs between two drops (step); 10.")
    gamma: Annotated[float, Field(gt=0, le=1)] = Field(0.1, description="Factor of each drop (step); 0.1.")
    min_learning_rate: Annotated[float, Field(ge=0)] = Field(0.0, description="Where the cosine ends; 0.")


class EarlyStopping(Model):
    """Stop when a validation metric no longer improves, and keep the best weights."""

    metric: Literal[
        "validation/loss",
        "validation/accuracy",
        "validation/precision",
        "validation/recall",
        "validation/f1",
        "validation/rocAuc",
        "validation/logLoss",
        "validation/mse",
        "validation/mae",
        "validation/r2",
    ] = Field("validation/loss", description="Metric to watch, the loss fits every task; validation/loss.")
    patience: PositiveInt = Field(5, description="Epochs without improvement before the stop; 5.")
    min_delta: Annotated[float, Field(ge=0)] = Field(0.0, description="Smallest change that counts; 0.")


class Train(Model):
    """How the network is trained."""

    rules = rules.TRAIN

    epochs: PositiveInt = Field(10, description="Passes over the training split; 10.")
    batch_size: PositiveInt = Field(64, description="Samples per optimiser step over all processes; 64.")
    optimizer: Optimizer = Field(default_factory=Optimizer, description="The optimiser.")
    schedule: Schedule = Field(default_factory=Schedule, description="The learning rate.")
    gradient_clip_norm: PositiveFloat | None = Field(
        None, description="Largest norm of the gradient; absent: not clipped."
    )
    accumulation_steps: Annotated[int, Field(ge=1, le=4096)] = Field(
        1, description="Parts a batch is computed in, one after another, to save memory; 1."
    )
    early_stopping: EarlyStopping | None = Field(
        None, description="When to stop before the last epoch; absent: every epoch is run."
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="Precision of the forward pass; fp32.")
    seed: Count = Field(0, description="Seed of weights, sample order and dropout; 0.")
    compile: bool = Field(False, description="Compile the network with torch.compile; false.")


class Evaluate(Model):
    """How the model is judged on the test split."""

    metrics: Literal["auto"] | Annotated[list[Metric], Field(min_length=1, max_length=16)] = Field(
        "auto", description="auto: all that fit the task, or a list of names; auto."
    )


class Export(Model):
    """In which forms the model is published."""

    formats: Annotated[list[Literal["safetensors", "onnx", "torch"]], Field(min_length=1, max_length=3)] = Field(
        ["safetensors", "onnx", "torch"],
        description="Forms to write, torch is a torch.export program; [safetensors, onnx, torch].",
    )


class Recipe(Model):
    """From raw data to a published model, step by step."""

    rules = rules.RECIPE

    data: Data = Field(description="The data.")
    prepare: Prepare = Field(default_factory=Prepare, description="Cleaning and scaling.")
    model: ModelSpec = Field(default_factory=ModelSpec, description="The network.")
    train: Train = Field(default_factory=Train, description="The training.")
    evaluate: Evaluate = Field(default_factory=Evaluate, description="The evaluation.")
    export: Export = Field(default_factory=Export, description="The published model.")
