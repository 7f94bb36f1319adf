"""Bytes of one sample into an array: PNG and JPEG by Pillow, .npy by numpy.

Damaged bytes make both raise almost anything (numpy reads a header as Python): whatever it is, the sample is bad.
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainyard_api.recipe import ImageShape
from trainyard_trainer.data.shards import decode_npy

IMAGE_ENDINGS = ("png", "jpg", "jpeg")


class BadSample(Exception):
    """This sample can't be used; the text says why."""


@dataclass(frozen=True)
class ArraySpec:
    """Type and shape that every sample of a source has."""

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]


def first_spec(ending: str, data: bytes, wanted: ImageShape) -> ArraySpec:
    """The shape of all samples, from the first one and what was `wanted`. Raises BadSample."""
    if ending not in IMAGE_ENDINGS:
        array = _npy(data)
        return ArraySpec(array.dtype, array.shape)
    with _open_image(data) as image:
        channels = wanted.channels or (1 if image.mode in ("1", "L", "LA", "I;16", "I", "F") else 3)
        height, width = wanted.height or image.height, wanted.width or image.width
    return ArraySpec(np.dtype(np.uint8), (height, width) if channels == 1 else (height, width, channels))


def decode(ending: str, data: bytes, spec: ArraySpec) -> NDArray[np.generic]:
    """One sample of `spec`'s type and shape; images are converted and resized (bilinear). Raises BadSample."""
    if ending in IMAGE_ENDINGS:
        return _image(data, spec)
    array = _npy(data)
    if array.dtype != spec.dtype or array.shape != spec.shape:
        raise BadSample(f"is {array.dtype} {list(array.shape)}, not {spec.dtype} {list(spec.shape)}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadSample("holds NaN or infinite values")
    return array


def _image(data: bytes, spec: ArraySpec) -> NDArray[np.generic]:
    try:
        with _open_image(data) as image:
            converted = image.convert("L" if len(spec.shape) == 2 else "RGB")
            size = (spec.shape[1], spec.shape[0])
            if converted.size != size:
                converted = converted.resize(size, Image.Resampling.BILINEAR)
            return np.asarray(converted)
    except Exception as error:
        raise BadSample(f"is no readable image: {error}") from error


def _open_image(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
    except Exception as error:
        raise BadSample("is no readable PNG or JPEG image") from error


def _npy(data: bytes) -> NDArray[np.generic]:
    try:
        array = decode_npy(memoryview(data))
    except Exception as error:
        raise BadSample(f"is no readable .npy array: {error}") from error
    if array.dtype.kind not in "buif" or not array.ndim or not array.size:
        raise BadSample("is no array of numbers with at least one axis")
    return array.astype(np.uint8) if array.dtype.kind == "b" else array.astype(array.dtype.newbyteorder("="))
