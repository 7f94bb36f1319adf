"""Kubernetes' events."""

from trainyard_cli.cluster.connection import Object


def event_time(event: Object) -> str:
    """When the event happened last, RFC 3339. Old and new clients write it in different fields."""
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return str(next((time for time in times if time), event["metadata"]["creationTimestamp"]))
