"""What the server tells Prometheus about itself; names follow Prometheus' conventions.

Counted in plain numbers on the event loop's thread and turned into Prometheus' families when they're asked for: the
client library's own counters, each with its lock, cost more per request than reading its JSON.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from trainyard_api.documents import Signature

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Distribution:
    """Counts of values up to each bound, and their sum."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def add_to(self, family: HistogramMetricFamily, labels: list[str]) -> None:
        """Write it as Prometheus does: cumulative, the last bucket +Inf."""
        names = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        family.add_metric(labels, list(zip(names, accumulate(self._counts), strict=True)), self._sum)


class ServerMetrics(Collector):
    """One server's figures, in a registry of its own, so that two servers in one process don't mix."""

    def __init__(self, signature: Signature, queued: Callable[[], float]) -> None:
        self.in_flight = 0
        self.batch_rows = Distribution(_ROWS)
        self._signature = signature
        self._queued = queued
        self._requests: dict[tuple[str, int], int] = {}
        self._durations: dict[str, Distribution] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def answered(self, route: str, code: int, seconds: float) -> None:
        """Count one answer."""
        self._requests[(route, code)] = self._requests.get((route, code), 0) + 1
        duration = self._durations.get(route)
        if duration is None:
            duration = self._durations[route] = Distribution(_SECONDS)
        duration.observe(seconds)

    def exposition(self) -> bytes:
        """The text that /metrics answers."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Prometheus' families of what was counted."""
        requests = CounterMetricFamily(
            "trainyard_server_requests", "Requests answered, by route and HTTP status code.", labels=["route", "code"]
        )
        for (route, code), count in self._requests.items():
            requests.add_metric([route, str(code)], count)
        yield requests
        durations = HistogramMetricFamily(
            "trainyard_server_request_duration_seconds",
            "Time from the end of a request's headers to the end of its answer.",
            labels=["route"],
        )
        for route, duration in self._durations.items():
            duration.add_to(durations, [route])
        yield durations
        rows = HistogramMetricFamily("trainyard_server_batch_rows", "Rows per run of the model.", labels=[])
        self.batch_rows.add_to(rows, [])
        yield rows
        yield GaugeMetricFamily("trainyard_server_queue_requests", "Requests waiting for a run.", self._queued())
        yield GaugeMetricFamily(
            "trainyard_server_requests_in_flight", "Inference requests being answered.", self.in_flight
        )
        info = GaugeMetricFamily(
            "trainyard_server_model_info", "The served model; always 1.", labels=["model", "version", "task"]
        )
        info.add_metric([self._signature.name, self._signature.version, self._signature.task or ""], 1)
        yield info
