"""Nested states as training programs keep them, and how two are compared bit for bit."""

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float8_e4m3fn,
    torch.complex64,
    torch.int64,
    torch.int32,
    torch.uint8,
    torch.uint32,
    torch.bool,
]


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    """Of any dtype, 0 to 3 axes, some empty, some with strides of their own, holding any bits."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.lists(st.integers(0, 5), max_size=3))
    count = int(np.prod(shape)) * dtype.itemsize
    bits = np.random.default_rng(draw(st.integers(0, 2**32))).integers(0, 256, count, dtype=np.uint8)
    if dtype == torch.bool:
        bits %= 2
    tensor = torch.from_numpy(bits).view(dtype).reshape(shape) if count else torch.empty(shape, dtype=dtype)
    form = draw(st.sampled_from(["contiguous", "transposed", "every second"]))
    if form == "transposed":
        return tensor.permute(list(reversed(range(tensor.dim()))))
    if form == "every second" and tensor.dim():
        return tensor[::2]
    return tensor


def states() -> st.SearchStrategy[Any]:
    """Dicts, lists and tuples of tensors, arrays, numbers, text, booleans and None."""
    keys = st.text(max_size=4) | st.integers(-3, 3)
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
    arrays = tensors().filter(lambda t: t.dtype not in (torch.bfloat16, torch.float8_e4m3fn)).map(lambda t: t.numpy())
    return st.recursive(
        scalars | tensors() | arrays,
        lambda inner: (
            st.dictionaries(keys, inner, max_size=4)
            | st.lists(inner, max_size=4)
            | st.lists(inner, max_size=3).map(tuple)
        ),
        max_leaves=10,
    )


def assert_same(found: Any, expected: Any) -> None:
    """Both are equal in structure, types, order of keys, and every bit."""
    assert type(found) is type(expected), (found, expected)
    if isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        assert _bits(found) == _bits(expected)
    elif isinstance(expected, np.ndarray):
        assert (found.dtype, found.shape, found.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert repr(found) == repr(expected)


def _bits(tensor: torch.Tensor) -> bytes:
    return tensor.clone(memory_format=torch.contiguous_format).reshape(-1).view(torch.uint8).numpy().tobytes()
