"""Damaged images and arrays: whatever the bytes are, they give an array of the wanted type and shape, or are bad."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from trainyard_api.recipe import ImageShape
from trainyard_trainer.sources.decode import ArraySpec, BadSample, decode, first_spec

SHAPE = (6, 5)


def _sample(ending: str) -> bytes:
    pixels = np.random.default_rng(2).integers(0, 256, SHAPE, np.uint8)
    stream = io.BytesIO()
    if ending == "npy":
        np.save(stream, pixels)
    else:
        Image.fromarray(pixels).save(stream, {"png": "PNG", "jpg": "JPEG"}[ending])
    return stream.getvalue()


GOOD = {ending: _sample(ending) for ending in ("npy", "png", "jpg")}
SPEC = ArraySpec(np.dtype(np.uint8), SHAPE)


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """A sample with a few other bytes in it, or its end cut off; or nothing but chance."""
    ending = draw(st.sampled_from(sorted(GOOD)))
    data = bytearray(GOOD[ending])
    for place, value in draw(st.dictionaries(st.integers(0, len(data) - 1), st.integers(0, 255), max_size=4)).items():
        data[place] = value
    return ending, draw(st.just(bytes(data)) | st.just(bytes(data[: draw(st.integers(0, len(data)))])) | st.binary())


@given(damaged())
def test_any_bytes_decode_or_are_bad(sample: tuple[str, bytes]) -> None:
    ending, data = sample
    try:
        array = decode(ending, data, SPEC)
    except BadSample:
        return
    assert (array.dtype, array.shape) == (SPEC.dtype, SPEC.shape)


@given(damaged())
def test_any_bytes_tell_a_shape_or_are_bad(sample: tuple[str, bytes]) -> None:
    ending, data = sample
    try:
        spec = first_spec(ending, data, ImageShape())
    except BadSample:
        return
    assert 0 not in spec.shape


HEADER = GOOD["npy"].index(b"{")


@pytest.mark.parametrize("data", [
    GOOD["npy"][:HEADER] + b"(" + GOOD["npy"][HEADER + 1 :],  # a bracket that nothing closes
    GOOD["npy"].replace(b"(6, 5)", b"[6, 5]"),
    GOOD["npy"].replace(b"(6, 5)", b"(6, x)"),
    GOOD["npy"].replace(b"(6, 5)", b"(6, 9)"),
    GOOD["npy"][:40],
    b"PK\x03\x04 no zip",
    b"",
])  # fmt: skip
def test_damaged_arrays(data: bytes) -> None:
    with pytest.raises(BadSample):
        decode("npy", data, SPEC)
