"""Times as the status holds them: RFC 3339, UTC, whole seconds or milliseconds."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def seconds(moment: datetime) -> str:
    """2026-11-25T08:44:02Z"""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def milliseconds(moment: datetime) -> str:
    """2026-11-25T08:44:02.123Z: for what is measured by the difference of two times."""
    return f"{moment.astimezone(UTC).isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"


def parse(text: str | None) -> datetime | None:
    """The moment that `text` names; None if there is none or it can't be read."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if text else None
    except ValueError:
        return None


def since(text: str | None, moment: datetime) -> str:
    """`text`, since when something is so; `moment` if there is none, or it lies ahead: the clock has been set back."""
    begun = parse(text)
    return text if text and begun and begun <= moment else milliseconds(moment)
