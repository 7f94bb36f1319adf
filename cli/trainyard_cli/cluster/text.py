"""Plain text: columns, bars and times as kubectl shows them."""

from collections.abc import Sequence
from datetime import UTC, datetime

_BAR = 30


def columns(rows: Sequence[Sequence[str]], indent: str = "") -> str:
    """Lines in which the cells of one column stand below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "".join(f"{indent}{line}\n" for line in lines)


def bar(done: int, total: int) -> str:
    """A progress bar: [######------] 50%"""
    share = min(1.0, max(0.0, done / total))
    filled = int(share * _BAR)
    return f"[{'#' * filled}{'-' * (_BAR - filled)}] {int(share * 100)}%"


def since(time: str | None) -> str:
    """How long ago an RFC 3339 time was, in one or two figures; empty if it isn't known."""
    try:
        passed = (datetime.now(UTC) - datetime.fromisoformat(time or "")).total_seconds()
    except (ValueError, TypeError):
        return ""
    return span(max(0, int(passed)))


def span(seconds: int) -> str:
    """A time in seconds, as short as kubectl's: 45s, 12m, 5h10m, 3d."""
    if seconds < 120:
        return f"{seconds}s"
    if seconds < 2 * 3600:
        return f"{seconds // 60}m"
    if seconds < 48 * 3600:
        return f"{seconds // 3600}h{seconds % 3600 // 60}m"
    return f"{seconds // 86400}d"
