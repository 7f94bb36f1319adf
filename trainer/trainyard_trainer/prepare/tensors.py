"""Statistics of arrays, per channel, fitted on the training split in pieces."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainyard_api.documents import Step
from trainyard_trainer.prepare.fit import fit_scale, rounded

Layout = Literal["", "HW", "HWC", "CHW"]
_SAMPLE = 1 << 24  # values per channel from which the quartiles of other types than uint8 are taken


def layout_of(shape: tuple[int, ...]) -> Layout:
    """What the axes of a sample mean: two are an image, a third of 1, 3 or 4 is its channels."""
    if len(shape) == 2:
        return "HW"
    if len(shape) == 3:
        return "HWC" if shape[2] in (1, 3, 4) else "CHW" if shape[0] in (1, 3, 4) else ""
    return ""


@dataclass
class ChannelStatistics:
    """Counts, moments and a sample of one channel's values.

    Pieces are merged in order by Chan, Golub and LeVeque's update (1979); pieces of fixed size give a fixed result.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float = np.inf
    high: float = -np.inf
    sample: list[NDArray[np.float64]] = field(default_factory=list)
    sampled: int = 0

    def add(self, values: NDArray[np.float64], *, keep_sample: bool) -> None:
        """Take `values`, one-dimensional and not empty."""
        count, mean = len(values), float(values.mean())
        delta, total = mean - self.mean, self.count + count
        self.squares += float(((values - mean) ** 2).sum()) + delta * delta * self.count * count / total
        self.mean += delta * count / total
        self.count = total
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        if keep_sample and self.sampled < _SAMPLE:
            self.sample.append(values[: _SAMPLE - self.sampled])
            self.sampled += len(self.sample[-1])

    @property
    def deviation(self) -> float:
        """Population deviation."""
        return float(np.sqrt(self.squares / max(1, self.count)))

    def scale(self, kind: str) -> tuple[float, float]:
        """(offset, factor) as `fit_scale` gives them."""
        if kind == "robust":
            return fit_scale(np.concatenate(self.sample), kind) or (0.0, 1.0)
        if kind == "standard":
            return rounded(self.mean), rounded(self.deviation) or 1.0
        return fit_scale(np.array([self.low, self.high]), kind) or (0.0, 1.0)


def as_bytes(column: pl.Series, dtype: str) -> pl.Series:
    """Fixed-size arrays as the raw bytes of each, in C order and of `dtype`.

    Parquet keeps every number of an array apart: bytes take a quarter of the space and are read many times faster.
    Raises ValueError if numbers are missing within an array of whole numbers.
    """
    values = column.to_numpy()  # nulls within arrays arrive as NaN
    if values.dtype != dtype:
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError(f"{column.name} has missing values within its arrays")
        values = values.astype(dtype)
    return pl.Series(column.name, [row.tobytes() for row in values], dtype=pl.Binary)


def channel_statistics(
    pieces: Iterable[NDArray[np.generic]], layout: Layout, *, keep_sample: bool
) -> list[ChannelStatistics]:
    """Statistics of each channel over `pieces` [n, ...] of a fixed n (the last may be shorter)."""
    channels: list[ChannelStatistics] = []
    for piece in pieces:
        parts = _channels(piece, layout)
        channels = channels or [ChannelStatistics() for _ in parts]
        for channel, values in zip(channels, parts, strict=True):
            channel.add(values.astype(np.float64).ravel(), keep_sample=keep_sample)
    return channels


def scale_step(name: str, channels: list[ChannelStatistics], kind: str) -> list[Step]:
    """The scale_tensor step, or none."""
    if kind == "none":
        return []
    scales = [channel.scale(kind) for channel in channels]
    offset, factor = [scale[0] for scale in scales], [scale[1] for scale in scales]
    return [Step(op="scale_tensor", column=name, offset=offset, factor=factor)]


def _channels(piece: NDArray[np.generic], layout: Layout) -> list[NDArray[np.generic]]:
    if layout == "HWC":
        return [piece[..., channel] for channel in range(piece.shape[-1])]
    if layout == "CHW":
        return [piece[:, channel] for channel in range(piece.shape[1])]
    return [piece]
