"""Metrics can be read by Prometheus, cost next to nothing, and never disturb training."""

import math
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from trainyard_launcher.runtime import read_metrics_port
from trainyard_trainer.metrics import STEP_BUCKETS, TrainingMetrics


@pytest.fixture
def metrics(tmp_path: Path) -> Iterator[TrainingMetrics]:
    served = TrainingMetrics()
    served.serve(0, tmp_path)
    yield served
    served.close()


def scrape(tmp_path: Path) -> dict[str, float]:
    body = urllib.request.urlopen(f"http://127.0.0.1:{read_metrics_port(tmp_path)}/metrics", timeout=5).read()
    families = text_string_to_metric_families(body.decode())
    return {
        sample.name + sample.labels.get("le", sample.labels.get("name", "")): sample.value
        for family in families
        for sample in family.samples
    }


def test_what_was_recorded_is_told(metrics: TrainingMetrics, tmp_path: Path) -> None:
    metrics.loss, metrics.gradient_norm, metrics.epoch, metrics.bad_samples = 0.25, 3.0, 2, 4
    for step, seconds in enumerate([0.004, 0.02, 0.02, 99.0], 1):
        metrics.record_step(step, seconds, 0.5, 32)
    metrics.record_checkpoint(0.2)
    metrics.record({"bleu": 12.5})
    told = scrape(tmp_path)
    assert told["trainyard_training_loss"] == 0.25
    assert told["trainyard_gradient_norm"] == 3.0
    assert told["trainyard_epoch"] == 2
    assert told["trainyard_step"] == 4
    assert told["trainyard_bad_samples_total"] == 4
    assert told["trainyard_samples_total"] == 128
    assert told["trainyard_data_wait_seconds_total"] == 2.0
    assert told["trainyard_step_seconds_bucket0.005"] == 1
    assert told["trainyard_step_seconds_bucket0.025"] == 3
    assert told["trainyard_step_seconds_bucket60.0"] == 3
    assert told["trainyard_step_seconds_bucket+Inf"] == 4
    assert told["trainyard_step_seconds_count"] == 4
    assert math.isclose(told["trainyard_step_seconds_sum"], 99.044)
    assert told["trainyard_checkpoint_seconds_count"] == 1
    assert abs(told["trainyard_last_checkpoint_timestamp_seconds"] - time.time()) < 60
    assert told["trainyard_metricbleu"] == 12.5


def test_a_taken_port_is_said_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        metrics = TrainingMetrics()
        assert metrics.serve(taken.getsockname()[1], tmp_path) is None
    assert metrics.failures == 1
    assert "training goes on" in capsys.readouterr().err
    metrics.record_step(1, 0.1, 0.0, 8)
    metrics.close()


def test_silent_scrapers_keep_nobody_waiting(metrics: TrainingMetrics, tmp_path: Path) -> None:
    port = read_metrics_port(tmp_path)
    assert port
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    silent[0].sendall(b"GET /metrics HTTP/1.1\r\n")
    assert "trainyard_step" in scrape(tmp_path)
    for connection in silent:
        connection.close()


def test_only_the_first_rank_of_a_node_serves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert TrainingMetrics().serve(0, tmp_path) is None


def test_a_step_costs_less_than_with_the_official_client() -> None:
    registry = CollectorRegistry()
    step_seconds = Histogram("step_seconds", "-", buckets=STEP_BUCKETS, registry=registry)
    data_wait, samples = (Counter(name, "-", registry=registry) for name in ("data_wait", "samples"))
    step_gauge = Gauge("step", "-", registry=registry)

    def official(step: int) -> None:
        step_gauge.set(step)
        step_seconds.observe(0.01)
        data_wait.inc(0.001)
        samples.inc(64)

    metrics = TrainingMetrics()
    pairs = [(seconds(lambda step: metrics.record_step(step, 0.01, 0.001, 64)), seconds(official)) for _ in range(5)]
    ours, theirs = (min(column) for column in zip(*pairs, strict=True))
    assert ours < theirs


def seconds(record: Callable[[int], None]) -> float:
    began = time.perf_counter()
    for step in range(5_000):
        record(step)
    return time.perf_counter() - began
