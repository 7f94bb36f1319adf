"""Tensors as the Open Inference Protocol writes them: in JSON, and in the binary tensor extension.

Sources: the KServe "Open Inference Protocol (v2)" REST specification and Triton's "Binary tensor data extension".
"""

import math
import struct
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainyard_api.documents import InputSignature

Tensor = NDArray[Any]

DTYPES: dict[str, np.dtype[Any]] = {
    "FP64": np.dtype("<f8"),
    "FP32": np.dtype("<f4"),
    "INT64": np.dtype("<i8"),
    "UINT8": np.dtype("u1"),
    "BYTES": np.dtype(object),
}
_FEW = 64  # values that Python looks through faster than numpy does
_LENGTH = struct.Struct("<I")


class InputError(ValueError):
    """An input that the model can't take; its text is for the client."""


def check_shape(spec: InputSignature, shape: Any) -> tuple[int, ...]:
    """Return `shape` as sizes that fit the signature, at least one row; InputError otherwise."""
    if not isinstance(shape, Sequence) or not all(type(size) is int and size >= 0 for size in shape):
        raise InputError(f"input {spec.name!r}: shape must be a list of sizes, not {_shorten(shape)}")
    if len(shape) != len(spec.shape) or any(
        want not in (-1, size) for want, size in zip(spec.shape, shape, strict=True)
    ):
        raise InputError(f"input {spec.name!r}: shape is {_shorten(list(shape))}, must be {spec.shape} (-1: rows)")
    if 0 in shape:
        raise InputError(f"input {spec.name!r}: shape {_shorten(list(shape))} holds no rows")
    return tuple(shape)


def check_values(spec: InputSignature, array: Tensor) -> None:
    """Raise InputError for infinities, and for NaN where nothing may be missing."""
    if finite(array):
        return
    if np.isinf(array).any():
        raise InputError(f"input {spec.name!r}: infinite values can't be taken")
    if not spec.nullable:
        raise InputError(f"input {spec.name!r}: a value is missing (NaN or null), and none may be")


def finite(array: Tensor) -> bool:
    """Whether no value is NaN or infinite."""
    if array.dtype.kind != "f":
        return True
    if array.size <= _FEW:
        return all(map(math.isfinite, array.ravel().tolist()))
    return bool(np.isfinite(array).all())


def from_json(spec: InputSignature, shape: tuple[int, ...], data: Any) -> Tensor:
    """Build an array of `shape` from JSON `data`, flat in row-major order or nested."""
    if type(data) is not list:
        raise InputError(f"input {spec.name!r}: data must be a list, not {_shorten(data)}")
    values = _flatten(spec, shape, data)
    if len(values) != math.prod(shape):
        raise InputError(
            f"input {spec.name!r}: data holds {len(values)} values, shape {list(shape)} needs {math.prod(shape)}"
        )
    return (_texts(spec, values) if spec.datatype == "BYTES" else _numbers(spec, values)).reshape(shape)


def _flatten(spec: InputSignature, shape: tuple[int, ...], data: list[Any]) -> list[Any]:
    if type(data[0] if data else None) is not list:
        return data
    if len(data) != shape[0]:
        raise InputError(f"input {spec.name!r}: data holds {len(data)} rows, shape {list(shape)} needs {shape[0]}")
    level = data
    for size in shape[1:]:
        if any(type(row) is not list or len(row) != size for row in level):
            raise InputError(f"input {spec.name!r}: nested data doesn't have the shape {list(shape)}")
        level = list(chain.from_iterable(level))
    return level


def _numbers(spec: InputSignature, values: list[Any]) -> Tensor:
    dtype = DTYPES[spec.datatype]
    kinds = set(map(type, values))
    if type(None) in kinds and spec.nullable and dtype.kind == "f":
        values = [np.nan if value is None else value for value in values]
        kinds.discard(type(None))
    if not kinds <= ({int, float} if dtype.kind == "f" else {int}):
        raise InputError(f"input {spec.name!r}: {_stranger(kinds, dtype)} among the data of datatype {spec.datatype}")
    try:
        with np.errstate(over="ignore"):  # what overflows FP32 is infinite, and refused as such
            return np.array(values, dtype)
    except OverflowError as error:
        raise InputError(f"input {spec.name!r}: a number doesn't fit the datatype {spec.datatype}") from error


def _stranger(kinds: set[type], dtype: np.dtype[Any]) -> str:
    names = {type(None): "null", str: "text", bool: "true or false", list: "a list", dict: "an object"}
    if dtype.kind != "f":
        names[float] = "a number with a fraction"
    return next(name for kind, name in names.items() if kind in kinds)


def _texts(spec: InputSignature, values: list[Any]) -> Tensor:
    kinds = set(map(type, values))
    if type(None) in kinds and spec.nullable:
        values = ["" if value is None else value for value in values]
        kinds.discard(type(None))
    if not kinds <= {str}:
        found = "null" if type(None) in kinds else "something other than text"
        raise InputError(f"input {spec.name!r}: {found} among the data of datatype BYTES")
    return np.array(values, object)


def from_bytes(spec: InputSignature, shape: tuple[int, ...], data: memoryview) -> Tensor:
    """Build an array of `shape` from the little-endian bytes of the binary tensor extension."""
    if spec.datatype == "BYTES":
        return np.array(_split_texts(spec, math.prod(shape), data), object).reshape(shape)
    dtype = DTYPES[spec.datatype]
    if len(data) != math.prod(shape) * dtype.itemsize:
        size = math.prod(shape) * dtype.itemsize
        raise InputError(f"input {spec.name!r}: binary_data_size is {len(data)}, shape {list(shape)} needs {size}")
    return np.frombuffer(data, dtype).reshape(shape).copy()  # the copy is aligned, and outlives the body


def _split_texts(spec: InputSignature, count: int, data: memoryview) -> list[str]:
    texts: list[str] = []
    at = 0
    while at < len(data):
        start = at + _LENGTH.size
        at = start + _LENGTH.unpack_from(data, start - 4)[0] if start <= len(data) else start
        if at > len(data):
            raise InputError(f"input {spec.name!r}: binary data ends inside element {len(texts)}")
        try:
            texts.append(str(data[start:at], "utf-8"))
        except UnicodeDecodeError as error:
            raise InputError(f"input {spec.name!r}: element {len(texts)} isn't UTF-8 text") from error
    if len(texts) != count:
        raise InputError(f"input {spec.name!r}: binary data holds {len(texts)} elements, the shape needs {count}")
    return texts


def to_bytes(array: Tensor) -> bytes:
    """Write an array as the binary tensor extension wants it; texts are preceded by their length."""
    if array.dtype != object:
        return array.tobytes()
    texts = [text.encode() for text in array.ravel().tolist()]
    return b"".join(chain.from_iterable((_LENGTH.pack(len(text)), text) for text in texts))


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
