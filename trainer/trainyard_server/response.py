"""Answers of the Open Inference Protocol, encoded."""

import gzip
import zlib
from typing import Any

import orjson
from starlette.responses import Response

from trainyard_api.documents import InputSignature, OutputSignature, Signature
from trainyard_server.model import InferenceModel
from trainyard_server.request import InferRequest, RequestError
from trainyard_server.tensors import Tensor, finite, to_bytes

_WORTH_COMPRESSING = 1024
_LEVEL = 4


def json_response(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Answer with a JSON document."""
    return Response(orjson.dumps(document), status, headers, media_type="application/json")


def error_response(error: RequestError) -> Response:
    """Answer with the reason; a 503 says when to come back."""
    headers = {"retry-after": "1"} if error.status == 503 else None
    return json_response({"error": error.reason}, error.status, headers)


def server_metadata(version: str) -> dict[str, Any]:
    """Body of GET /v2."""
    return {"name": "trainyard", "version": version, "extensions": ["binary_tensor_data"]}


def model_metadata(signature: Signature) -> dict[str, Any]:
    """Body of GET /v2/models/{name}: with what one must know to ask, and to read the answer, as `parameters`."""
    *labels, numbers = signature.outputs
    classes = {"parameters": {"classes": signature.classes}} if signature.classes else {}
    return {
        "name": signature.name,
        "versions": [signature.version],
        "platform": "onnxruntime_onnx",
        "inputs": [_tensor(s) | ({"parameters": {"nullable": True}} if s.nullable else {}) for s in signature.inputs],
        "outputs": [*map(_tensor, labels), _tensor(numbers) | classes],
    }


def _tensor(spec: InputSignature | OutputSignature) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": spec.shape}


def infer_response(model: InferenceModel, request: InferRequest, answers: dict[str, Tensor], accept: str) -> Response:
    """Encode the outputs that were asked for, compressed if `accept` (Accept-Encoding) allows and it pays."""
    tensors: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for wanted in request.outputs:
        array = answers[wanted.name]
        if not finite(array):
            raise RequestError(400, f"output {wanted.name!r} isn't finite: an input is too large for the model")
        tensor: dict[str, Any] = {
            "name": wanted.name,
            "datatype": model.outputs[wanted.name].datatype,
            "shape": array.shape,
        }
        if wanted.binary:
            blobs.append(to_bytes(array))
            tensor["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            flat = array.ravel()
            tensor["data"] = flat.tolist() if flat.dtype == object else flat
        tensors.append(tensor)
    document = {"model_name": model.signature.name, "model_version": model.signature.version, "outputs": tensors}
    if request.id is not None:
        document["id"] = request.id
    return _pack(orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY), blobs, accept)


def _pack(head: bytes, blobs: list[bytes], accept: str) -> Response:
    headers = {"content-type": "application/json"}
    body = head
    if blobs:
        headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}
        body = b"".join([head, *blobs])
    encoding = _encoding(accept) if len(body) >= _WORTH_COMPRESSING else ""
    if encoding:
        headers |= {"content-encoding": encoding, "vary": "accept-encoding"}
        body = gzip.compress(body, _LEVEL, mtime=0) if encoding == "gzip" else zlib.compress(body, _LEVEL)
    return Response(body, headers=headers)


def _encoding(accept: str) -> str:
    offers = [offer.replace(" ", "").lower() for offer in accept.split(",")]
    known = [
        name for name, _, quality in (offer.partition(";q=") for offer in offers) if quality.strip("0.") or not quality
    ]
    return next((name for name in ("gzip", "deflate") if name in known), "")
