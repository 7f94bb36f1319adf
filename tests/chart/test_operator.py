"""The operator with the rights and the settings that the chart gives it, and no others: nothing is refused to it."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client
from prometheus_client.parser import text_string_to_metric_families

from support.control_plane import control_plane
from support.helm import CHART, of_kind, rendered
from support.helm_cluster import HelmCluster
from support.launched import wait_until
from trainyard_launcher.ports import free_port

pytest.importorskip("trainyard_operator", reason="the operator isn't here yet")

PRESETS = {"default": {"storage": {"uri": "s3://bucket/runs", "credentialsSecret": "bucket"}}}
MODES: dict[str, dict[str, Any]] = {
    "all namespaces": {"runtimes": PRESETS},
    "named namespaces": {"runtimes": PRESETS, "namespaces": ["team-a"]},
}
JOBS = "/apis/trainyard.dev/v1alpha1/namespaces/team-a/trainingjobs"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HelmCluster]:
    """A cluster with a team's namespace."""
    with control_plane(tmp_path_factory.mktemp("control-plane")) as plane:
        found = HelmCluster(plane, tmp_path_factory.mktemp("helm"))
        with found.api:
            for name in ("trainyard", "team-a"):
                found.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            account = {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": "default", "namespace": "team-a"},
            }
            found.apply(account)
            yield found


@contextmanager
def operator(cluster: HelmCluster, folder: Path, values: dict[str, Any]) -> Iterator[int]:
    """The program, as the chart's account and with the environment of the chart's Deployment; gives its port."""
    objects = rendered(values)
    (deployment,) = of_kind(objects, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    told = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    for presets in of_kind(objects, "ConfigMap"):
        path = folder / Path(told["TRAINYARD_RUNTIMES"]).name
        path.write_text(presets["data"][path.name])
        told["TRAINYARD_RUNTIMES"] = str(path)
    port = free_port()
    here = {
        "KUBECONFIG": str(cluster.plane.service_account("trainyard", "trainyard-operator")),
        "POD_NAME": "operator-0",
        "POD_NAMESPACE": "trainyard",
        "TRAINYARD_PORT": str(port),
    }
    log = folder / "operator.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "trainyard_operator"]
        process = subprocess.Popen(command, env={**os.environ, **told, **here}, stdout=output, stderr=output)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(30)
        sys.stdout.write(log.read_text())  # pytest shows it if the test fails


def calls(port: int) -> dict[tuple[str, str], float]:
    """Calls to the API server by verb and code; none while the operator doesn't answer."""
    try:
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
    except OSError:
        return {}
    return {
        (sample.labels["verb"], sample.labels["code"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "trainyard_operator_api_calls_total"
    }


def lease(cluster: HelmCluster) -> dict[str, Any]:
    path = "/apis/coordination.k8s.io/v1/namespaces/trainyard/leases/trainyard-operator"
    found: dict[str, Any] = cluster.get(path)["spec"]
    return found


@pytest.fixture(params=MODES)
def values(request: pytest.FixtureRequest, cluster: HelmCluster) -> Iterator[dict[str, Any]]:
    """Values of the chart, which is installed with them."""
    found = MODES[request.param]
    if "namespaces" in found:  # then an administrator brings the definitions
        for definition in (CHART / "files" / "crds").iterdir():
            cluster.apply(yaml.safe_load(definition.read_text()))
    cluster.helm("install", str(CHART), values=found)
    yield found
    cluster.helm("uninstall")
    assert not [each for each in cluster.objects() if each[0] == "leases"], "nor is the Lease left"
    cluster.remove_jobs()


def test_nothing_is_refused_to_it(values: dict[str, Any], cluster: HelmCluster, tmp_path: Path) -> None:
    core = client.CoreV1Api(cluster.api)

    def pods() -> list[str]:
        return [each.metadata.name for each in core.list_namespaced_pod("team-a").items]

    def job() -> dict[str, Any]:
        found: dict[str, Any] = cluster.get(f"{JOBS}/digits")
        return found

    with operator(cluster, tmp_path, values) as port:
        cluster.apply(
            {
                "apiVersion": "trainyard.dev/v1alpha1",
                "kind": "TrainingJob",
                "metadata": {"name": "digits", "namespace": "team-a"},
                "spec": {"nodes": 2, "script": {"command": ["train.py"]}},
            }
        )
        wait_until(lambda: pods() == ["digits-0", "digits-1"], "the pods are made")
        wait_until(lambda: job().get("status", {}).get("phase") in ("Pending", "Starting"), "its status is told")
        custom = client.CustomObjectsApi(cluster.api)
        patch = {"spec": {"suspend": True}}
        custom.patch_namespaced_custom_object("trainyard.dev", "v1alpha1", "team-a", "trainingjobs", "digits", patch)
        wait_until(lambda: job()["status"].get("phase") == "Suspended" and not pods(), "it is suspended")
        made = calls(port)
        assert {verb for verb, code in made if code.startswith("2")} >= {"get", "watch", "create", "patch", "delete"}
        assert [key for key in made if key[1] in ("401", "403")] == []
        holder = lease(cluster)["holderIdentity"]
        cluster.helm("upgrade", str(CHART), values=values)
        assert lease(cluster)["holderIdentity"] == holder
