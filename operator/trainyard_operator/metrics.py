"""What Prometheus is told about the operator and the jobs it looks after."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from trainyard_api.status import Status
from trainyard_operator.names import Key

_PREFIX = "trainyard_operator"
_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)
_PODS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 300)
_LONG = (1, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400, 604800, 2592000)
_MOST_CAUSES = 64  # pods name causes: they mustn't make the operator grow
PHASES = ("Pending", "Starting", "Running", "Restarting", "Suspending", "Suspended", "Complete", "Failed")


class Metrics(Collector):
    """The operator's own numbers, and one set per job, made from its status when a scraper asks."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.jobs: dict[Key, Status] = {}
        self.api_calls = self._counter("api_calls", "Calls to the API server; code none: no answer.", ["verb", "code"])
        self._restarts = self._counter("restarts", "Restarts of jobs.", ["cause"])
        self._causes: set[str] = set()
        self.queue_depth = self._gauge("queue_depth", "Jobs that wait to be looked at.")
        self.leader = self._gauge("leader", "1: this replica acts; 0: it stands by.")
        self.watch_age = self._gauge(
            "watch_age_seconds", "Since a watch last gave a sign of life; bookmarks come every minute.", ["resource"]
        )
        self.reconcile = self._histogram("reconcile_seconds", "Time of one look at one job.", _FAST, ["result"])
        self.to_pods = self._histogram("create_to_pods_seconds", "From a job's creation to all its pods'.", _PODS)
        self.to_running = self._histogram("create_to_running_seconds", "From its creation to running.", _LONG)
        self.to_complete = self._histogram("create_to_complete_seconds", "From its creation to complete.", _LONG)
        self.registry.register(self)

    def _counter(self, name: str, text: str, labels: list[str]) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: list[str] | None = None) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", text, labels or [], registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], labels: list[str] | None = None
    ) -> Histogram:
        return Histogram(f"{_PREFIX}_{name}", text, labels or [], buckets=buckets, registry=self.registry)

    def restarted(self, cause: str, count: int) -> None:
        """Count restarts; under `Other` where too many causes have been named already."""
        if len(self._causes) < _MOST_CAUSES:
            self._causes.add(cause)
        self._restarts.labels(cause if cause in self._causes else "Other").inc(count)

    def collect(self) -> Iterator[Metric]:
        """Jobs by phase, and each job's progress."""
        jobs = dict(self.jobs)
        phases = GaugeMetricFamily(f"{_PREFIX}_jobs", "Jobs by phase.", labels=["phase"])
        for phase in PHASES:
            phases.add_metric([phase], sum(status.phase == phase for status in jobs.values()))
        yield phases
        yield from _per_job(jobs)


def _per_job(jobs: dict[Key, Status]) -> Iterator[Metric]:
    families = {
        name: GaugeMetricFamily(f"{_PREFIX}_job_{name}", text, labels=["namespace", "job_name", *extra])
        for name, text, *extra in (
            ("info", "1 for the phase and reason a job is in.", "phase", "reason"),
            ("nodes", "Nodes in use."),
            ("nodes_ready", "Nodes whose pod is ready."),
            ("progress_step", "Optimiser steps done."),
            ("progress_steps", "Optimiser steps in all; 0: not known."),
            ("loss", "Training loss lately."),
            ("restarts", "Restarts by cause.", "cause"),
        )
    }
    for key, status in jobs.items():
        names = [key.namespace, key.name]
        families["info"].add_metric([*names, status.phase, status.reason], 1)
        families["nodes"].add_metric(names, status.nodes)
        families["nodes_ready"].add_metric(names, status.nodes_ready)
        families["restarts"].add_metric([*names, "user"], status.restarts.user)
        families["restarts"].add_metric([*names, "infrastructure"], status.restarts.infrastructure)
        if progress := status.progress:
            families["progress_step"].add_metric(names, progress.step)
            families["progress_steps"].add_metric(names, progress.steps)
            if progress.loss is not None:
                families["loss"].add_metric(names, progress.loss)
    yield from families.values()
