"""A published model, run by onnxruntime."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument
from pydantic import ValidationError

from trainyard_api.documents import InputSignature, Signature
from trainyard_api.errors import TrainyardError
from trainyard_server.tensors import DTYPES, InputError, Tensor, check_shape, check_values, from_json

_SMALL_SECONDS = 0.002  # a run that is over sooner is slower with several threads: they have to be woken


class InferenceModel:
    """Raw columns in, labels with probabilities (or predictions) out; tensors in and out for a network of one's own."""

    def __init__(self, signature: Signature, session: onnxruntime.InferenceSession) -> None:
        self.signature = signature
        self.inputs = {spec.name: spec for spec in signature.inputs}
        self.outputs = {spec.name: spec for spec in signature.outputs}
        self._names = list(self.outputs)
        self._session = session

    @classmethod
    def load(cls, folder: Path) -> "InferenceModel":
        """Load signature.json and model.onnx of `folder`, and run once; TrainyardError if anything is amiss."""
        model = cls(_signature(folder), _session(folder, threads=1))
        model._check(folder)
        if model.rows_within(_SMALL_SECONDS, limit=1) == 0:
            model._session = _session(folder, len(os.sched_getaffinity(0)))
        return model

    def _check(self, folder: Path) -> None:
        given = {value.name for value in self._session.get_inputs()}
        if given != set(self.inputs):
            raise _unusable(folder, f"signature.json names {sorted(self.inputs)}, model.onnx takes {sorted(given)}")
        try:
            self.run({spec.name: _example(spec) for spec in self.signature.inputs})
        except Exception as error:
            raise _unusable(folder, f"a first run failed: {error}") from error

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run on arrays that already have the signature's types and shapes.

        InputError if the network itself refuses a value, like the number of a word that it doesn't know.
        """
        try:
            answers = self._session.run(self._names, dict(inputs))
        except InvalidArgument as error:
            raise InputError(
                f"the model can't take these values: {str(error).rpartition('Status Message: ')[2]}"
            ) from error
        return dict(zip(self._names, answers, strict=True))

    def rows_within(self, seconds: float, limit: int) -> int:
        """Measure how many rows, up to `limit`, one run answers within `seconds`; 0 if not even one."""
        fitting, rows = 0, 1
        while rows <= limit:
            inputs = {spec.name: np.repeat(_example(spec), rows, axis=0) for spec in self.signature.inputs}
            if min(self._time(inputs) for _ in range(3)) > seconds:
                break
            fitting, rows = rows, rows * 2
        return fitting

    def _time(self, inputs: Mapping[str, Tensor]) -> float:
        start = time.perf_counter()
        self.run(inputs)
        return time.perf_counter() - start

    def predict(self, inputs: Mapping[str, Any]) -> dict[str, Tensor]:
        """Answer for a batch of rows.

        inputs: for each input of the signature an array [rows, ...]; numbers are cast to its type; a missing value is
        NaN, or empty text. Returns an array [rows, ...] per output. Raises TrainyardError if an input is unfit.
        """
        try:
            check_names(self.inputs, inputs)
            arrays = {name: self._prepare(name, inputs) for name in self.inputs}
            check_rows(arrays)
            return self.run(arrays)
        except InputError as error:
            raise TrainyardError(str(error), "the model's input", "give what signature.json describes") from error

    def _prepare(self, name: str, inputs: Mapping[str, Any]) -> Tensor:
        spec = self.inputs[name]
        array = np.asarray(inputs[name])
        check_shape(spec, array.shape)
        if spec.datatype == "BYTES":
            return from_json(spec, array.shape, array.ravel().tolist())
        try:
            array = array.astype(DTYPES[spec.datatype])
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"input {name!r}: {error}") from error
        check_values(spec, array)
        return array


def check_names(wanted: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise InputError unless exactly the wanted inputs are given."""
    if wanted.keys() == given.keys():
        return
    missing = [name for name in wanted if name not in given]
    if missing:
        raise InputError(f"input {missing[0]!r} is missing")
    extra = next(name for name in given if name not in wanted)
    raise InputError(f"there is no input {extra!r}; inputs: {', '.join(wanted)}"[:1000])


def check_rows(arrays: Mapping[str, Tensor]) -> int:
    """Return the rows that all arrays have in common; InputError if they differ."""
    rows = {len(array) for array in arrays.values()}
    if len(rows) > 1:
        raise InputError(f"inputs differ in rows (first axis): {sorted(rows)}")
    return rows.pop()


def _example(spec: InputSignature) -> Tensor:
    shape = [1 if size == -1 else size for size in spec.shape]
    return np.full(shape, "" if spec.datatype == "BYTES" else 0, DTYPES[spec.datatype])


def _signature(folder: Path) -> Signature:
    try:
        return Signature.model_validate_json((folder / "signature.json").read_bytes())
    except OSError as error:
        raise _unusable(folder, f"signature.json can't be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise TrainyardError(
            f"This is no model that can be served: signature.json is not valid: {where}: {first['msg']}",
            str(folder),
            "publish the model again",
            cause="ModelUnusable",
        ) from error


def _session(folder: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A spinning thread saves microseconds per run and takes them from the thread that speaks HTTP.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    if not (folder / "model.onnx").is_file():
        raise _unusable(folder, "model.onnx is missing")
    try:
        return onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class
        raise _unusable(folder, f"model.onnx: {error}") from error


def _unusable(folder: Path, why: str) -> TrainyardError:
    return TrainyardError(
        f"This is no model that can be served: {why}",
        str(folder),
        "name a published model's folder (model/<version>), exported with formats: [onnx]",
        cause="ModelUnusable",
    )
