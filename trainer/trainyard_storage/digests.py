"""Digests of what is kept in object storage. xxh3 finds damage, not malice; it runs at the speed of memory."""

from collections.abc import Sequence

import xxhash

Bytes = bytes | bytearray | memoryview


def digest(data: Bytes | Sequence[Bytes]) -> str:
    """xxh3_64 of `data`, or of its pieces one after another: 16 hex digits."""
    state = xxhash.xxh3_64()
    for piece in pieces(data):
        state.update(piece)
    return state.hexdigest()


def digest128(data: Bytes) -> str:
    """xxh3_128 of `data`: 32 hex digits. For names that must never collide."""
    return xxhash.xxh3_128_hexdigest(data)


def pieces(data: Bytes | Sequence[Bytes]) -> list[memoryview]:
    """`data` as flat views of its bytes, without a copy. Raises TypeError for a view that is not contiguous."""
    if isinstance(data, Bytes):
        return [memoryview(data).cast("B")]
    return [memoryview(piece).cast("B") for piece in data]
