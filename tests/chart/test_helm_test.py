"""What `helm test` runs in its pod, run here: as the operator's account, against a real API server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from support.control_plane import control_plane
from support.helm import CHART, of_kind, rendered
from support.helm_cluster import HelmCluster


class Operator(BaseHTTPRequestHandler):
    """Answers as an operator does that is well, or isn't."""

    code = 200

    def do_GET(self) -> None:
        self.send_response(self.code if self.path in ("/healthz", "/readyz") else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


class Sick(Operator):
    code = 500


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HelmCluster]:
    """A cluster with the chart in it."""
    with control_plane(tmp_path_factory.mktemp("control-plane")) as plane:
        found = HelmCluster(plane, tmp_path_factory.mktemp("helm"))
        with found.api:
            found.helm("install", str(CHART), "--create-namespace")
            yield found


def run(cluster: HelmCluster, folder: Path, operator: type[Operator], account: str) -> subprocess.CompletedProcess[str]:
    """The test's program, with what the kubelet would put into its pod."""
    kubeconfig = yaml.safe_load(cluster.plane.service_account("trainyard", account).read_text())
    (folder / "token").write_text(kubeconfig["users"][0]["user"]["token"])
    (folder / "ca.crt").write_bytes(cluster.plane.certificate.read_bytes())
    (pod,) = of_kind(rendered(), "Pod")
    (container,) = pod["spec"]["containers"]
    told = {each["name"]: each["value"] for each in container["env"]}
    jobs = told["JOBS"].replace("https://kubernetes.default.svc", cluster.plane.url)
    with ThreadingHTTPServer(("127.0.0.1", 0), operator) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        here = {"OPERATOR": f"http://127.0.0.1:{server.server_port}", "ACCOUNT": str(folder), "JOBS": jobs}
        assert here.keys() == told.keys()
        command = [sys.executable, *container["command"][1:], *container["args"]]
        done = subprocess.run(command, env={**os.environ, **here}, capture_output=True, text=True)
        server.shutdown()
    return done


def test_all_is_well(cluster: HelmCluster, tmp_path: Path) -> None:
    done = run(cluster, tmp_path, Operator, "trainyard-operator")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "/healthz 200",
        "/readyz 200",
        "/apis/trainyard.dev/v1alpha1/trainingjobs?limit=1 200",
    ]


def test_the_operator_is_not_well(cluster: HelmCluster, tmp_path: Path) -> None:
    assert run(cluster, tmp_path, Sick, "trainyard-operator").returncode != 0


def test_the_account_has_no_rights(cluster: HelmCluster, tmp_path: Path) -> None:
    cluster.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "other", "namespace": "trainyard"}}
    )
    done = run(cluster, tmp_path, Operator, "other")
    assert done.returncode != 0
    assert "403" in done.stderr
