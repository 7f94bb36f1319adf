"""What a process does once, when its first reader is made, so that the first batch needn't wait for it."""

import ctypes
import io
from functools import cache

import polars as pl

_M_ARENA_MAX = -8  # glibc's malloc.h
_ARENAS = 2


@cache
def start_polars() -> None:
    """Start Polars' threads and its Parquet reader: a tenth of a second up to a second in a fresh process."""
    stream = io.BytesIO()
    pl.DataFrame({"features": [b"0"] * 2, "label": [0, 1]}).write_parquet(stream, compression="lz4")
    pl.scan_parquet(io.BytesIO(stream.getvalue())).select("label", "features").collect()["features"].to_list()


@cache
def limit_arenas() -> None:
    """Let threads share two of glibc's arenas: with one each, freed shards pile up in them, epoch after epoch.

    Does nothing with another C library.
    """
    try:
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
    except (AttributeError, OSError):
        return
