"""A Prometheus in the cluster: it finds operator and jobs by the chart's own monitors, and has the chart's alerts."""

import contextlib
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import yaml

from harness.cluster import Cluster
from harness.places import MANIFESTS, NAMESPACE
from harness.process import step
from harness.product import CHART, RELEASE, SYSTEM
from support.cluster import until
from support.control_plane.versions import KUBERNETES
from support.monitors import TARGETS, rules, scrape_configs
from support.prometheus import Prometheus

_INTERVAL = "2s"


@contextlib.contextmanager
def deployed(cluster: Cluster, image: str) -> Iterator[Prometheus]:
    """It, ready and as this machine reaches it; removed after the block. Raises Failed."""
    text = _manifest(cluster, image)
    try:
        with step("Prometheus"):
            cluster.kubectl("apply", "-f", "-", input=text)
            cluster.kubectl("-n", NAMESPACE, "rollout", "status", "deployment/prometheus", "--timeout=120s")
        url = f"http://{cluster.outside(NAMESPACE, 'prometheus')}"
        until("its port is open on the node", lambda: _answers(url))  # kube-proxy opens it a moment later
        yield Prometheus(url)
    finally:
        cluster.kubectl("delete", "--ignore-not-found", "-f", "-", input=text)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _manifest(cluster: Cluster, image: str) -> str:
    monitors = _monitors(cluster)
    settings = {
        "global": {"evaluation_interval": _INTERVAL},
        "rule_files": ["alerts.yaml"],
        "scrape_configs": scrape_configs(monitors),
    }
    text = (MANIFESTS / "prometheus.yaml").read_text().replace("$IMAGE", image).replace("$TARGETS", TARGETS)
    for name, content in (("CONFIGURATION", settings), ("ALERTS", rules(monitors))):
        text = text.replace(f"${name}", json.dumps(json.dumps(content)))
    return text


def _monitors(cluster: Cluster) -> list[dict[str, Any]]:
    """Rendered by Helm: the cluster itself has no definition of them."""
    kinds = ("serviceMonitor", "podMonitor", "prometheusRule")
    words = [f"--set=monitoring.{kind}.enabled=true" for kind in kinds]
    words += [f"--set=monitoring.{kind}.interval={_INTERVAL}" for kind in kinds[:2]]
    made = cluster.helm("template", RELEASE, CHART, "-n", SYSTEM, "--kube-version", KUBERNETES, *words)
    return [each for each in yaml.safe_load_all(made) if each]
