"""From the bytes of a shard to the values of its samples."""

import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs
from numpy.typing import NDArray

from trainyard_api.documents import FieldSpec, Shard
from trainyard_api.errors import TrainyardError
from trainyard_storage.digests import Bytes
from trainyard_trainer.data import tar

Array = NDArray[Any]
Column = Array | list[Any]
"""Values of one field: an array [rows, ...], or a list of one value per row (large ones are views into the shard)."""

KEY = "__key__"
"""The field that holds a tar's names of its samples."""
_OBJECTS = ("bytes", "str", "json")
_WHOLE = re.compile(rb"[+-]?\d{1,18}")
_OBJECT_BYTES = 56  # of a Python text or byte string, beside its characters
_VIEW_BYTES = 4096  # samples at least this large are left where they are until a batch is made


@dataclass(eq=False)
class Decoded:
    """The samples of one shard. A bad one has a good one's values in its place, and its reason in `bad`."""

    rows: int
    columns: dict[str, Column]
    bad: dict[int, tuple[str, str]] = field(default_factory=dict)  # row -> key, reason


def item_dtype(spec: FieldSpec) -> np.dtype[Any]:
    """The dtype of an array of the field's values: objects for bytes, text and JSON."""
    return np.dtype(object) if spec.dtype in _OBJECTS else np.dtype(spec.dtype)


def memory_bytes(shard: Shard, fields: Mapping[str, FieldSpec]) -> int:
    """About how much the shard's decoded samples take: never less than the shard itself."""
    objects = sum(spec.dtype in _OBJECTS for spec in fields.values())
    each = sum(item_dtype(spec).itemsize * int(np.prod(spec.shape)) for spec in fields.values())
    return max(shard.bytes, shard.rows * (each + objects * _OBJECT_BYTES) + (shard.text_bytes if objects else 0))


def decode_parquet(data: memoryview, fields: Mapping[str, FieldSpec], url: str) -> Decoded:
    """A Parquet shard. Tensors are fixed-size arrays, or binary values that hold the array's bytes in C order.

    Raises TrainyardError DataCorrupt if it isn't Parquet or its columns aren't the manifest's.
    """
    try:
        # Never by bare names: Polars takes those like `*` for patterns.
        frame = pl.scan_parquet(io.BytesIO(data)).select(cs.by_name(*fields)).collect()
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise corrupt(f"The shard can't be read as Parquet: {str(error).splitlines()[0]}", url) from error
    columns = {name: _parquet_column(frame[name], name, spec, url) for name, spec in fields.items()}
    return Decoded(len(frame), columns)


def _parquet_column(series: pl.Series, name: str, spec: FieldSpec, url: str) -> Column:
    if spec.dtype == "json":
        return [json.loads(value) for value in series]
    if spec.dtype in _OBJECTS:
        return series.to_list()
    try:
        if series.dtype == pl.Binary:
            return _from_binary(series.to_list(), spec)
        values = series.to_numpy()
        if values.dtype == item_dtype(spec):
            return values.reshape(len(series), *spec.shape)
        problem = f"it holds {series.dtype}"
    except (ValueError, TypeError) as error:
        problem = str(error)
    raise corrupt(f"Column {name!r} is not {spec.dtype} {spec.shape}: {problem}.", url)


def _from_binary(values: list[bytes], spec: FieldSpec) -> Column:
    dtype = item_dtype(spec)
    if values and len(values[0]) >= _VIEW_BYTES:
        return [np.frombuffer(value, dtype).reshape(spec.shape) for value in values]
    return np.frombuffer(b"".join(values), dtype).reshape(len(values), *spec.shape)


def decode_tar(data: memoryview, fields: Mapping[str, FieldSpec], url: str) -> Decoded:
    """A WebDataset shard. Raises TrainyardError DataCorrupt if it isn't a tar; a bad sample is only noted."""
    columns: dict[str, list[Any]] = {name: [] for name in fields}
    bad: dict[int, tuple[str, str]] = {}
    rows = 0
    try:
        for row, (key, sample) in enumerate(tar.samples(data)):
            rows += 1
            try:
                values = [key if name == KEY else value(name, sample, spec) for name, spec in fields.items()]
            except Exception as error:  # noqa: BLE001 - whatever a decoder raises, it is the sample that is bad
                bad[row] = (key, str(error) or type(error).__name__)
                values = [None] * len(fields)
            for column, found in zip(columns.values(), values, strict=True):
                column.append(found)
    except tar.CorruptTarError as error:
        raise corrupt(f"The shard can't be read as tar: {error}", url) from error
    _replace_bad(columns, bad, fields)
    return Decoded(rows, {name: _packed(column, fields[name]) for name, column in columns.items()}, bad)


def value(name: str, sample: Mapping[str, Bytes], spec: FieldSpec) -> Any:
    """The value of one field, decoded by the last part of its name. Raises what its decoder does."""
    if name not in sample:
        raise ValueError(f"it has no .{name}")
    kind = "txt" if spec.dtype == "str" else name.rpartition(".")[2]
    found = _DECODERS.get(kind, _raw)(memoryview(sample[name]))
    if spec.dtype in _OBJECTS:
        return found
    array = np.asarray(found)
    if array.dtype != spec.dtype or list(array.shape) != spec.shape:
        raise ValueError(f".{name} is {array.dtype} {list(array.shape)}, not {spec.dtype} {spec.shape}")
    return array


def _replace_bad(columns: dict[str, list[Any]], bad: dict[int, Any], fields: Mapping[str, FieldSpec]) -> None:
    for name, column in columns.items():
        if not bad:
            return
        spec = fields[name]
        good = next((found for row, found in enumerate(column) if row not in bad), None)
        if good is None:
            good = b"" if spec.dtype in _OBJECTS else np.zeros(spec.shape, spec.dtype)
        for row in bad:
            column[row] = good


def _packed(column: list[Any], spec: FieldSpec) -> Column:
    """Small values as one array; large ones stay views, so that their bytes are copied once only, into the batch."""
    dtype = item_dtype(spec)
    if dtype.hasobject or dtype.itemsize * int(np.prod(spec.shape)) >= _VIEW_BYTES:
        return column
    return np.array(column, dtype).reshape(len(column), *spec.shape)


_headers: dict[bytes, tuple[np.dtype[Any], bool, tuple[int, ...]]] = {}


def decode_npy(data: memoryview) -> Array:
    """A .npy file (NumPy's format 1.0 to 3.0) as a view of its bytes. Raises ValueError."""
    if len(data) < 12 or bytes(data[:6]) != b"\x93NUMPY":
        raise ValueError("not a .npy file")
    version = data[6]
    start = 10 if version == 1 else 12
    end = start + int.from_bytes(data[8:start], "little")
    header = bytes(data[:end])
    known = _headers.get(header)
    if known is None:  # parsing it takes ten times as long as everything else here
        stream = io.BytesIO(header[8:])
        read = np.lib.format.read_array_header_1_0 if version == 1 else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
        if dtype.hasobject:
            raise ValueError("a .npy file of Python objects")
        if len(_headers) < 1000:
            _headers[header] = (dtype, fortran, shape)
        known = (dtype, fortran, shape)
    dtype, fortran, shape = known
    count = int(np.prod(shape, dtype=np.int64))
    if len(data) - end < count * dtype.itemsize:
        raise ValueError("cut short")
    return np.frombuffer(data, dtype, count, end).reshape(shape, order="F" if fortran else "C")


def _raw(data: memoryview) -> memoryview:
    return data


_DECODERS: dict[str, Callable[[memoryview], Any]] = {
    "npy": decode_npy,
    "cls": lambda data: np.int64(int(bytes(data))),
    "json": lambda data: json.loads(bytes(data)),
    "txt": lambda data: bytes(data).decode(),
}


def field_spec(name: str, data: Bytes) -> FieldSpec:
    """What a tar member called `name` holds. A class that is no number is text. Raises ValueError, as decoders do."""
    kind = name.rpartition(".")[2]
    if kind == "cls" and not _WHOLE.fullmatch(bytes(data).strip()):
        kind = "txt"
    found = _DECODERS.get(kind, _raw)(memoryview(data))
    if kind in ("npy", "cls"):
        return FieldSpec(dtype=found.dtype.name, shape=list(found.shape))
    return FieldSpec(dtype={"json": "json", "txt": "str"}.get(kind, "bytes"))


def corrupt(what: str, url: str) -> TrainyardError:
    """A shard that can't be used."""
    return TrainyardError(what, url, "Restore it, or prepare the data again.", cause="DataCorrupt")
