"""The chart's monitors and alerts make a configuration that Prometheus takes, and choose what the product makes."""

import json
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from support.chart_values import MONITORING
from support.discovery import Object, of_endpoints, of_pods
from support.helm import of_kind, rendered
from support.monitors import rules, scrape_configs
from support.prometheus import binary
from trainyard_operator.names import INDEX_LABEL, labels


def scraped(scrape: dict[str, Any], targets: Iterable[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """What Prometheus keeps of these targets, by address, with the labels that their series get."""
    found = {}
    for target in targets:
        labels, kept = dict(target["labels"]), True
        for rule in scrape["relabel_configs"]:
            value = labels.get(rule["source_labels"][0], "")
            if "target_label" in rule:
                labels[rule["target_label"]] = value
            else:
                matches = re.fullmatch(rule["regex"], value) is not None
                kept = kept and matches is (rule["action"] == "keep")
        if kept:
            shown = {key: value for key, value in labels.items() if not key.startswith("__")}
            found[target["targets"][0]] = shown
    return found


def pod(namespace: str, name: str, names: dict[str, str], ports: dict[str, int], phase: str = "Running") -> Object:
    container = {"name": "main", "ports": [{"name": key, "containerPort": port} for key, port in ports.items()]}
    return {
        "metadata": {"namespace": namespace, "name": name, "labels": names},
        "spec": {"containers": [container]},
        "status": {"podIP": "10.0.0.1", "phase": phase},
    }


def test_prometheus_takes_it(tmp_path: Path) -> None:
    objects = rendered({"monitoring": MONITORING})
    (tmp_path / "alerts.yaml").write_text(json.dumps(rules(objects)))
    settings = {"rule_files": ["alerts.yaml"], "scrape_configs": scrape_configs(objects)}
    (tmp_path / "prometheus.yml").write_text(json.dumps(settings))
    command = [str(binary("promtool")), "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_operators_service_is_scraped_and_its_labels_honoured() -> None:
    objects = rendered({"monitoring": MONITORING}, namespace="system")
    scrape, _ = scrape_configs(objects)
    (service,) = of_kind(objects, "Service")
    replica = pod("system", "operator-0", {}, {"http": 8080})
    address = {"ip": "10.0.0.1", "targetRef": {"name": "operator-0"}}
    endpoints = {
        "metadata": service["metadata"],
        "subsets": [{"addresses": [address], "ports": [{"name": "http", "port": 8080}, {"name": "more", "port": 1}]}],
    }
    other = {**endpoints, "metadata": {**service["metadata"], "namespace": "elsewhere"}}
    services = [service, {"metadata": other["metadata"]}]
    found = scraped(scrape, of_endpoints([endpoints, other], services, [replica]))
    assert found == {"10.0.0.1:8080": {"namespace": "system", "pod": "operator-0", "container": "main"}}
    assert scrape["honor_labels"] is True


def test_pods_of_jobs_are_scraped_while_they_run_and_named_for_job_and_node() -> None:
    _, scrape = scrape_configs(rendered({"monitoring": MONITORING}))
    names, ports = {**labels("digits"), INDEX_LABEL: "1"}, {"metrics": 9464, "report": 9465}
    told = {"namespace": "team", "pod": "digits-1", "container": "main", "job_name": "digits", "node": "1"}
    assert scraped(scrape, of_pods([pod("team", "digits-1", names, ports)])) == {"10.0.0.1:9464": told}
    assert scraped(scrape, of_pods([pod("team", "digits-1", names, ports, "Failed")])) == {}
    assert scraped(scrape, of_pods([pod("team", "other", {}, ports)])) == {}
