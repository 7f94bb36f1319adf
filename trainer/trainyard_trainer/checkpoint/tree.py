"""Nested state to a JSON skeleton and a list of named tensors, and back.

Dicts with text keys, lists, numbers, text, booleans and None stand in the skeleton as they are; what JSON doesn't know
is an object with one key that begins with "$".
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from trainyard_api.errors import TrainyardError

NamedTensor = tuple[str, torch.Tensor]


def flatten(state: Any) -> tuple[Any, list[NamedTensor]]:
    """Split `state` into a skeleton that JSON can hold and its tensors, named by their path.

    Tensors that are one and the same view of the same memory (tied weights) are kept once. numpy numbers become
    Python's. Raises TrainyardError for a value that a checkpoint can't hold.
    """
    flattener = _Flattener()
    return flattener.encode(state, ()), flattener.tensors


def unflatten(skeleton: Any, tensors: Sequence[torch.Tensor]) -> Any:
    """The state that `flatten` took apart."""
    if isinstance(skeleton, list):
        return [unflatten(item, tensors) for item in skeleton]
    if not isinstance(skeleton, dict):
        return skeleton
    if len(skeleton) == 1:
        ((kind, content),) = skeleton.items()
        if kind in _DECODERS:
            return _DECODERS[kind](content, tensors)
    return {key: unflatten(value, tensors) for key, value in skeleton.items()}


_DECODERS: dict[str, Callable[[Any, Sequence[torch.Tensor]], Any]] = {
    "$tensor": lambda index, tensors: tensors[index],
    "$array": lambda index, tensors: tensors[index].numpy(),
    "$tuple": lambda items, tensors: tuple(unflatten(item, tensors) for item in items),
    "$dict": lambda pairs, tensors: {key: unflatten(value, tensors) for key, value in pairs},
    "$float": lambda text, _: float(text),
}


class _Flattener:
    def __init__(self) -> None:
        self.tensors: list[NamedTensor] = []
        self._index_of: dict[tuple[Any, ...], int] = {}

    def encode(self, value: Any, path: tuple[Any, ...]) -> Any:
        if value is None or isinstance(value, bool | str):
            return value
        if isinstance(value, int | float | np.generic):
            return _encode_number(value, path)
        if isinstance(value, torch.Tensor):
            return {"$tensor": self._keep(value, path)}
        if isinstance(value, np.ndarray):
            return {"$array": self._keep(_tensor_of_array(value, path), path)}
        if isinstance(value, dict):
            return self._encode_dict(value, path)
        if isinstance(value, list | tuple):
            items = [self.encode(item, (*path, index)) for index, item in enumerate(value)]
            return items if isinstance(value, list) else {"$tuple": items}
        raise _cannot_hold(value, path)

    def _encode_dict(self, value: dict[Any, Any], path: tuple[Any, ...]) -> Any:
        pairs = [(key, self.encode(item, (*path, key))) for key, item in value.items()]
        for key, _ in pairs:
            if not isinstance(key, str | int | bool):
                raise _cannot_hold(key, path)
        if all(isinstance(key, str) and not key.startswith("$") for key, _ in pairs):
            return dict(pairs)
        return {"$dict": [[key, item] for key, item in pairs]}

    def _keep(self, tensor: torch.Tensor, path: tuple[Any, ...]) -> int:
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type == "meta":
            raise _cannot_hold(tensor, path)
        tensor = tensor.detach().resolve_conj().resolve_neg()
        view = (tensor.data_ptr(), tensor.device, tensor.dtype, tensor.shape, tensor.stride())
        if view not in self._index_of:
            self._index_of[view] = len(self.tensors)
            # Kept alive by the list, so no later tensor can get the same address while we flatten.
            self.tensors.append((".".join(str(key) for key in path), tensor))
        return self._index_of[view]


def _encode_number(value: Any, path: tuple[Any, ...]) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, float) and not math.isfinite(plain):
        return {"$float": repr(float(plain))}
    if isinstance(plain, bool):
        return plain
    if isinstance(plain, int | float):
        return int(plain) if isinstance(plain, int) else float(plain)
    raise _cannot_hold(value, path)


def _tensor_of_array(array: "np.ndarray[Any, Any]", path: tuple[Any, ...]) -> torch.Tensor:
    try:
        return torch.from_numpy(np.require(array, requirements=["C", "W"]).reshape(array.shape))
    except (TypeError, ValueError) as error:
        raise _cannot_hold(array, path) from error


def _cannot_hold(value: Any, path: tuple[Any, ...]) -> TrainyardError:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    detail = f" ({value.dtype}, {value.layout})" if isinstance(value, torch.Tensor) else ""
    return TrainyardError(
        what=f"A checkpoint can't hold a value of type {kind}{detail}.",
        where="state" + "".join(f"[{key!r}]" for key in path),
        remedy="Save dense tensors, numpy arrays, numbers, text, booleans, None, and lists, tuples and dicts of them.",
        cause="StateNotSavable",
    )
