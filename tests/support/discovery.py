"""What Prometheus' own discovery in Kubernetes finds, written to files that Prometheus reads.

Debian's Prometheus is built without that discovery. In a pod beside it, `discovery.py FOLDER` keeps FOLDER/pod.json and
FOLDER/endpoints.json, named for the roles, up to date with targets under the labels that it documents
(__meta_kubernetes_*). Nothing but the standard library is needed.
"""

import itertools
import json
import re
import ssl
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Object = dict[str, Any]
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_SERVER = "https://kubernetes.default.svc"
_SECONDS = 1.0


def of_pods(pods: list[Object]) -> Iterator[Object]:
    """The role `pod`: a target for each port that a container declares."""
    for pod in pods:
        for container, port in _ports(pod):
            if address := pod["status"].get("podIP"):
                yield _target(address, port["containerPort"], _of_port(pod, container, port))


def of_endpoints(endpoints: list[Object], services: list[Object], pods: list[Object]) -> Iterator[Object]:
    """The role `endpoints`: a target for each ready address and port of a Service."""
    known_services, known_pods = _by_name(services), _by_name(pods)
    for one in endpoints:
        namespace, name = place = _place(one)
        service = known_services.get(place)
        for subset in one.get("subsets") or []:
            for address, port in itertools.product(subset.get("addresses") or [], subset.get("ports") or []):
                labels = {"namespace": namespace, "endpoints_name": name, "endpoint_port_name": port.get("name", "")}
                if service:
                    labels |= {"service_name": name, **_labels("service", service)}
                pod = known_pods.get((namespace, (address.get("targetRef") or {}).get("name", "")))
                if pod:
                    for container, declared in _ports(pod):
                        if declared["containerPort"] == port["port"]:
                            labels |= _of_port(pod, container, declared)
                yield _target(address["ip"], port["port"], labels)


def _of_port(pod: Object, container: Object, port: Object) -> dict[str, str]:
    namespace, name = _place(pod)
    return {
        "namespace": namespace,
        "pod_name": name,
        "pod_phase": pod["status"]["phase"],
        "pod_container_name": container["name"],
        "pod_container_port_name": port.get("name", ""),
        **_labels("pod", pod),
    }


def _ports(pod: Object) -> Iterator[tuple[Object, Object]]:
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or []:
            yield container, port


def _labels(of: str, one: Object) -> dict[str, str]:
    labels = one["metadata"].get("labels") or {}
    return {f"{of}_label_{re.sub(r'[^a-zA-Z0-9_]', '_', key)}": value for key, value in labels.items()}


def _target(address: str, port: int, labels: dict[str, str]) -> Object:
    return {
        "targets": [f"{address}:{port}"],
        "labels": {f"__meta_kubernetes_{key}": value for key, value in labels.items()},
    }


def _by_name(objects: list[Object]) -> dict[tuple[str, str], Object]:
    return {_place(each): each for each in objects}


def _place(one: Object) -> tuple[str, str]:
    return one["metadata"]["namespace"], one["metadata"]["name"]


def _listed(kind: str) -> list[Object]:
    headers = {"Authorization": f"Bearer {(_ACCOUNT / 'token').read_text()}"}
    trust = ssl.create_default_context(cafile=_ACCOUNT / "ca.crt")
    request = urllib.request.Request(f"{_SERVER}/api/v1/{kind}", headers=headers)
    with urllib.request.urlopen(request, timeout=10, context=trust) as answer:
        found: list[Object] = json.load(answer)["items"]
    return found


def _write(path: Path, targets: Iterator[Object]) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps([*targets]))
    new.replace(path)


def main(folder: Path) -> None:
    """Look every second, for ever. What can't be had now leaves the files as they are."""
    while True:
        try:
            pods, services, endpoints = map(_listed, ("pods", "services", "endpoints"))
            _write(folder / "pod.json", of_pods(pods))
            _write(folder / "endpoints.json", of_endpoints(endpoints, services, pods))
        except OSError as error:
            sys.stderr.write(f"{error}\n")
        time.sleep(_SECONDS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
