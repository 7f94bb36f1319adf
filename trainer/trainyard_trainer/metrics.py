"""What Prometheus is told about a training run, on one port per node.

Training writes plain numbers (a microsecond per step); everything else happens when a scraper asks, in a thread of its
own. Nothing here can stop or fail training: a failure is counted, said in one line, and left behind.
"""

import os
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from trainyard_launcher.runtime import runtime_from_environment, write_metrics_port

DEFAULT_PORT = 9464
STEP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
CHECKPOINT_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0)
_SCRAPER_TIMEOUT = 5.0


class Histogram:
    """Counts per bucket, as Prometheus means them, without locks: one thread writes."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def family(self, name: str, documentation: str) -> HistogramMetricFamily:
        """The cumulative buckets as they are now."""
        total, buckets = 0, []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), list(self._counts), strict=True):
            total += count
            buckets.append((bound, total))
        return HistogramMetricFamily(name, documentation, buckets=buckets, sum_value=self._sum)


class TrainingMetrics(Collector):
    """The numbers of one run, and the port that tells them. Make it in every rank; only local rank 0 serves.

    The attributes are set by training as it goes: `loss`, `gradient_norm` and `learning_rate` by their latest value,
    `epoch` (epochs completed) and `step` (optimiser steps done) too; `left_out` is how many bad samples
    preparation met, `bad_samples` how many training did.
    """

    def __init__(self) -> None:
        self.loss = float("nan")
        self.gradient_norm = float("nan")
        self.learning_rate = float("nan")
        self.epoch = 0
        self.step = 0
        self.left_out = 0
        self.bad_samples = 0
        self.failures = 0
        self._samples = 0.0
        self._data_wait = 0.0
        self._last_checkpoint: float | None = None
        self._steps = Histogram(STEP_BUCKETS)
        self._checkpoints = Histogram(CHECKPOINT_BUCKETS)
        self._custom: dict[str, float] = {}
        self._server: ThreadingHTTPServer | None = None
        self._said: set[str] = set()

    def record_step(self, step: int, seconds: float, data_wait: float, samples: float) -> None:
        """One optimiser step is done: its number, its time and the part spent waiting for data, in seconds, and the
        samples of the whole global batch."""
        self.step = step
        self._steps.observe(seconds)
        self._data_wait += data_wait
        self._samples += samples

    def record_checkpoint(self, seconds: float) -> None:
        """A checkpoint was taken; training stood still for `seconds`."""
        self._checkpoints.observe(seconds)
        self._last_checkpoint = time.time()

    def record(self, values: dict[str, float]) -> None:
        """Latest values of a program's own metrics, told as trainyard_metric{name=...}."""
        self._custom = {**self._custom, **values}

    @contextmanager
    def harmless(self, lost: str) -> Iterator[None]:
        """Keep what goes wrong with telemetry from training: it is counted, and said once what is `lost` by it."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, training goes on
            self.failures += 1
            if lost not in self._said:
                self._said.add(lost)
                sys.stderr.write(f"{lost}, training goes on without: {error}\n")

    def collect(self) -> Iterator[Metric]:
        """What a scrape sees."""
        yield GaugeMetricFamily("trainyard_training_loss", "Training loss lately.", self.loss)
        yield GaugeMetricFamily("trainyard_gradient_norm", "Norm of the gradient lately.", self.gradient_norm)
        yield GaugeMetricFamily("trainyard_learning_rate", "Learning rate now.", self.learning_rate)
        yield GaugeMetricFamily("trainyard_epoch", "Epochs completed.", self.epoch)
        yield GaugeMetricFamily("trainyard_step", "Optimiser steps done, those before a restart included.", self.step)
        yield CounterMetricFamily("trainyard_samples", "Samples trained on by all ranks.", self._samples)
        yield CounterMetricFamily("trainyard_data_wait_seconds", "Seconds spent waiting for data.", self._data_wait)
        bad = self.left_out + self.bad_samples
        yield CounterMetricFamily("trainyard_bad_samples", "Samples that couldn't be read and are left out.", bad)
        yield CounterMetricFamily("trainyard_telemetry_failures", "Failures of telemetry itself.", self.failures)
        yield self._steps.family("trainyard_step_seconds", "Time of an optimiser step.")
        yield self._checkpoints.family("trainyard_checkpoint_seconds", "Time that a checkpoint stopped training for.")
        if self._last_checkpoint is not None:
            yield GaugeMetricFamily(
                "trainyard_last_checkpoint_timestamp_seconds", "When the last one was taken.", self._last_checkpoint
            )
        custom = GaugeMetricFamily("trainyard_metric", "Metrics that the program logs.", labels=["name"])
        for name, value in self._custom.items():
            custom.add_metric([name], value)
        yield custom

    def serve(self, port: int | None = None, runtime: Path | None = None) -> int | None:
        """Answer /metrics on `port` (absent: TRAINYARD_METRICS_PORT, else 9464; 0: any free one).

        The port is written to the runtime folder. Returns it; None if this isn't local rank 0, or there is no port to
        be had.
        """
        if os.environ.get("LOCAL_RANK", "0") != "0":
            return None
        runtime = runtime or runtime_from_environment()
        with self.harmless("No metrics are served"):
            wanted = int(os.environ.get("TRAINYARD_METRICS_PORT", DEFAULT_PORT)) if port is None else port
            # In a pod, Prometheus comes from outside; on a person's machine nobody else has any business here.
            host = "" if "KUBERNETES_SERVICE_HOST" in os.environ else "127.0.0.1"
            self._server = _Server((host, wanted), self)
            Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()
            if runtime:
                write_metrics_port(runtime, self._server.server_port)
            return self._server.server_port
        return None

    def close(self) -> None:
        """Stop answering."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Server(ThreadingHTTPServer):
    """A scraper that falls silent holds one daemon thread for a few seconds, and nothing else."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], metrics: TrainingMetrics) -> None:
        self.metrics = metrics
        self.registry = CollectorRegistry()
        self.registry.register(metrics)
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Count what went wrong with one scraper."""
        self.metrics.failures += 1


class _Handler(BaseHTTPRequestHandler):
    timeout = _SCRAPER_TIMEOUT
    server: _Server

    def do_GET(self) -> None:
        """Answer /metrics."""
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404, "Only /metrics is here")
            return
        encode, content_type = choose_encoder(self.headers.get("Accept", ""))
        body = encode(self.server.registry)
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are no news."""
