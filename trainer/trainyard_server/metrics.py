"""What the server tells Prometheus about itself; names follow Prometheus' conventions."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from trainyard_api.documents import Signature

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class ServerMetrics:
    """The server's own registry, so that two servers in one process don't mix."""

    def __init__(self, signature: Signature, queued: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "trainyard_server_requests",
            "Requests answered, by route and HTTP status code.",
            ["route", "code"],
            registry=self.registry,
        )
        self._duration = Histogram(
            "trainyard_server_request_duration_seconds",
            "Time from the end of a request's headers to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "trainyard_server_requests_in_flight", "Inference requests being answered.", registry=self.registry
        )
        self.batch_rows = Histogram(
            "trainyard_server_batch_rows", "Rows per run of the model.", buckets=_ROWS, registry=self.registry
        )
        queue = Gauge("trainyard_server_queue_requests", "Requests waiting for a run.", registry=self.registry)
        queue.set_function(queued)
        info = Gauge(
            "trainyard_server_model_info",
            "The served model; always 1.",
            ["model", "version", "task"],
            registry=self.registry,
        )
        info.labels(signature.name, signature.version, signature.task).set(1)
        self._children: dict[tuple[str, int], tuple[Counter, Histogram]] = {}  # looking a label up costs more

    def answered(self, route: str, code: int, seconds: float) -> None:
        """Count one answer."""
        children = self._children.get((route, code))
        if children is None:
            children = self._requests.labels(route, str(code)), self._duration.labels(route)
            self._children[(route, code)] = children
        children[0].inc()
        children[1].observe(seconds)

    def exposition(self) -> bytes:
        """The text that /metrics answers."""
        return generate_latest(self.registry)
