"""Files of one table have the same columns."""

from collections.abc import Iterable, Mapping

from trainyard_api.errors import TrainyardError
from trainyard_storage.source import SourceFile


def check_same(columns: Mapping[SourceFile, Iterable[str]]) -> None:
    """Raise TrainyardError if a file has other columns than the first; their order doesn't matter."""
    first, expected = next(iter(columns.items()))
    for file, found in columns.items():
        missing, extra = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
        parts = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has also {', '.join(extra)}"] * bool(extra)
        if parts:
            raise TrainyardError(
                f"The files differ in their columns: this one {' and '.join(parts)}.",
                f"{file.uri} (compared with {first.uri})",
                "Give all files the same columns, or name those that belong together by a pattern in data.uri.",
                cause="DataMismatch",
            )
