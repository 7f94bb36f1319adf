"""What the Prometheus Operator makes of the chart's ServiceMonitor and PodMonitor, for a Prometheus without it."""

import re
from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]
TARGETS = "/targets"  # where discovery.py writes what is in the cluster


def scrape_configs(objects: list[Object]) -> list[Object]:
    """For each endpoint of the monitors among `objects`: an entry of Prometheus' scrape_configs."""
    return [*_of(objects, "ServiceMonitor", "endpoints"), *_of(objects, "PodMonitor", "podMetricsEndpoints")]


def rules(objects: list[Object]) -> Object:
    """The groups of the PrometheusRule among `objects`, as a file of rules."""
    found: Object = next(each["spec"] for each in objects if each["kind"] == "PrometheusRule")
    return found


def _of(objects: list[Object], kind: str, field: str) -> Iterator[Object]:
    for monitor in (each for each in objects if each["kind"] == kind):
        for endpoint in monitor["spec"][field]:
            yield {
                "job_name": f"{monitor['metadata']['namespace']}/{monitor['metadata']['name']}",
                "honor_labels": endpoint.get("honorLabels", False),
                "metrics_path": endpoint["path"],
                "scrape_interval": endpoint["interval"],
                "file_sd_configs": [{"files": [f"{TARGETS}/{_role(monitor)}.json"], "refresh_interval": "1s"}],
                "relabel_configs": [*_chosen(monitor, endpoint), *map(_snake_case, endpoint.get("relabelings", []))],
            }


def _role(monitor: Object) -> str:
    return "endpoints" if monitor["kind"] == "ServiceMonitor" else "pod"


def _chosen(monitor: Object, endpoint: Object) -> list[Object]:
    """Keeps what the monitor selects, and says where it is."""
    of_service = monitor["kind"] == "ServiceMonitor"
    selected = "service" if of_service else "pod"
    port = "endpoint_port_name" if of_service else "pod_container_port_name"
    wanted = {
        **{f"{selected}_label_{_sanitised(key)}": it for key, it in monitor["spec"]["selector"]["matchLabels"].items()},
        port: endpoint["port"],
    }
    patterns = {label: re.escape(value) for label, value in wanted.items()}
    where = monitor["spec"].get("namespaceSelector", {"matchNames": [monitor["metadata"]["namespace"]]})
    if not where.get("any"):
        patterns["namespace"] = "|".join(map(re.escape, where["matchNames"]))
    found: list[Object] = [
        {"action": "keep", "source_labels": [f"__meta_kubernetes_{label}"], "regex": pattern}
        for label, pattern in patterns.items()
    ]
    found.append({"action": "drop", "source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Failed|Succeeded"})
    named = {"namespace": "namespace", "pod": "pod_name", "container": "pod_container_name"}
    found += [
        {"source_labels": [f"__meta_kubernetes_{label}"], "target_label": target} for target, label in named.items()
    ]
    return found


def _snake_case(relabeling: Object) -> Object:
    return {re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", key): it for key, it in relabeling.items()}


def _sanitised(label: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", label)
