"""The C library's memory, as readers need it."""

import ctypes
from functools import cache

_M_ARENA_MAX = -8  # glibc's malloc.h
_ARENAS = 2


@cache
def limit_arenas() -> None:
    """Let threads share two of glibc's arenas: with one each, freed shards pile up in them, epoch after epoch.

    Does nothing with another C library.
    """
    try:
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
    except (AttributeError, OSError):
        return
