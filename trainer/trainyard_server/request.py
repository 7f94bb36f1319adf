"""An inference request of the Open Inference Protocol, decoded and checked."""

import zlib
from dataclasses import dataclass
from typing import Any

import orjson

from trainyard_api.documents import InputSignature
from trainyard_server.model import InferenceModel, check_names, check_rows
from trainyard_server.tensors import InputError, Tensor, check_shape, check_values, from_bytes, from_json


class RequestError(Exception):
    """A request that is answered with `status` and the reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class WantedOutput:
    """An output that the client asked for."""

    name: str
    binary: bool


@dataclass(frozen=True, slots=True)
class InferRequest:
    """What a client sent: arrays of `rows` rows each, and the outputs it wants."""

    id: str | None
    inputs: dict[str, Tensor]
    rows: int
    outputs: list[WantedOutput]


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo gzip or deflate; RequestError if the result exceeds `limit` bytes or the body is cut or corrupt."""
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise RequestError(415, f"Content-Encoding {encoding[:40]!r} isn't known; gzip and deflate are")
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)  # | 32: gzip's header or zlib's
    try:
        data = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise RequestError(400, f"body isn't valid {encoding}: {error}") from error
    if len(data) > limit:
        raise RequestError(413, f"body is larger than {limit} bytes when decompressed")
    if not inflater.eof or inflater.unused_data:
        raise RequestError(400, f"body isn't valid {encoding}: {'it goes on' if inflater.eof else 'it stops'} mid-way")
    return data


def decode(model: InferenceModel, body: bytes, header_length: str | None) -> InferRequest:
    """Decode a body whose first `header_length` bytes are JSON (None: all); RequestError says what is wrong."""
    size = _header_size(header_length, len(body))
    view = memoryview(body)
    try:
        document = orjson.loads(view[:size])
    except orjson.JSONDecodeError as error:
        raise RequestError(400, f"body isn't valid JSON: {error}") from error
    try:
        return _decode(model, _object(document, "the request"), view[size:])
    except InputError as error:
        raise RequestError(400, str(error)) from error


def _header_size(text: str | None, length: int) -> int:
    if text is None:
        return length
    if not (text.isascii() and text.isdigit()) or len(text) > 18 or int(text) > length:
        raise RequestError(400, f"Inference-Header-Content-Length must be a number of bytes up to the body's, {length}")
    return int(text)


def _decode(model: InferenceModel, document: dict[str, Any], binary: memoryview) -> InferRequest:
    parameters = _object(document.get("parameters"), "parameters")
    tensors = _named(document.get("inputs"), "inputs")
    check_names(model.inputs, tensors)
    arrays: dict[str, Tensor] = {}
    at = 0
    for name, tensor in tensors.items():
        arrays[name], used = _tensor(model.inputs[name], tensor, binary[at:])
        at += used
    if at != len(binary):
        raise InputError(f"{len(binary) - at} bytes follow the last input's binary data")
    request_id = document.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise InputError("id must be text")
    return InferRequest(request_id, arrays, check_rows(arrays), _outputs(model, document.get("outputs"), parameters))


def _tensor(spec: InputSignature, tensor: dict[str, Any], binary: memoryview) -> tuple[Tensor, int]:
    """Return the array, and how many bytes of `binary` it took."""
    if tensor.get("datatype") != spec.datatype:
        raise InputError(
            f"input {spec.name!r}: datatype must be {spec.datatype}, not {str(tensor.get('datatype'))[:80]!r}"
        )
    shape = check_shape(spec, tensor.get("shape"))
    parameters = _object(tensor.get("parameters"), f"input {spec.name!r}: parameters")
    if "shared_memory_region" in parameters:
        raise InputError(f"input {spec.name!r}: shared memory isn't supported")
    size = parameters.get("binary_data_size")
    if size is None:
        array = from_json(spec, shape, tensor.get("data"))
    elif type(size) is not int or not 0 <= size <= len(binary):
        raise InputError(f"input {spec.name!r}: binary_data_size must be a number up to {len(binary)}, the bytes left")
    elif "data" in tensor:
        raise InputError(f"input {spec.name!r}: data and binary_data_size exclude each other")
    else:
        array = from_bytes(spec, shape, binary[:size])
    check_values(spec, array)
    return array, size or 0


def _outputs(model: InferenceModel, wanted: Any, parameters: dict[str, Any]) -> list[WantedOutput]:
    binary = _flag(parameters, "binary_data_output")
    if wanted is None or wanted == []:
        return [WantedOutput(name, binary) for name in model.outputs]
    outputs = []
    for name, output in _named(wanted, "outputs").items():
        if name not in model.outputs:
            raise InputError(f"there is no output {name[:80]!r}; outputs: {', '.join(model.outputs)}")
        own = _object(output.get("parameters"), f"output {name!r}: parameters")
        if "classification" in own or "shared_memory_region" in own:
            raise InputError(f"output {name!r}: classification and shared memory aren't supported")
        outputs.append(WantedOutput(name, _flag(own, "binary_data") if "binary_data" in own else binary))
    return outputs


def _named(tensors: Any, what: str) -> dict[str, dict[str, Any]]:
    if type(tensors) is not list or not tensors:
        raise InputError(f"{what} must be a list of tensors")
    named: dict[str, dict[str, Any]] = {}
    for tensor in tensors:
        name = _object(tensor, f"each of {what}").get("name")
        if type(name) is not str:
            raise InputError(f"each of {what} needs a name")
        if name in named:
            raise InputError(f"{name[:80]!r} occurs twice in {what}")
        named[name] = tensor
    return named


def _object(value: Any, what: str) -> dict[str, Any]:
    if value is None and what.endswith("parameters"):
        return {}
    if type(value) is not dict:
        raise InputError(f"{what} must be a JSON object")
    return value


def _flag(parameters: dict[str, Any], name: str) -> bool:
    value = parameters.get(name, False)
    if type(value) is not bool:
        raise InputError(f"{name} must be true or false")
    return value
