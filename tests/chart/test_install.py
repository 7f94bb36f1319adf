"""Install, upgrade and uninstall on a real API server: what is made, what may be done, and what is left."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from support.chart_values import MONITORING, RUNTIMES, VARIANTS
from support.control_plane import control_plane
from support.helm import CHART, binary, of_kind, rendered
from support.helm_cluster import HelmCluster, Object
from support.launched import wait_until
from support.schemas import monitoring_definitions

ROOT = CHART.parents[1]
NAMESPACES = ("trainyard", "team-a", "team-b")
JOB = {
    "apiVersion": "trainyard.dev/v1alpha1",
    "kind": "TrainingJob",
    "metadata": {"name": "digits"},
    "spec": {"script": {"command": ["train.py"]}},
}
DEFINITIONS = {
    ("customresourcedefinitions", "", f"{name}.trainyard.dev") for name in ("trainingjobs", "trainingruntimes")
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HelmCluster]:
    """A cluster with a few namespaces and the Prometheus Operator's definitions."""
    with control_plane(tmp_path_factory.mktemp("control-plane")) as plane:
        found = HelmCluster(plane, tmp_path_factory.mktemp("helm"))
        with found.api:
            for definition in monitoring_definitions():
                found.apply(definition)
            wait_until(lambda: "monitoring.coreos.com" in str(found.get("/apis")), "its kinds are known")
            plane.start_controllers()
            for name in NAMESPACES:
                metadata = {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
                found.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
            wait_until(
                lambda: all(("serviceaccounts", name, "default") in found.objects() for name in NAMESPACES),
                "they are ready",
            )
            yield found


@pytest.fixture
def empty(cluster: HelmCluster) -> Iterator[set[Object]]:
    """What there is before, our definitions left out; whatever else a test leaves is removed."""
    before = cluster.objects() - DEFINITIONS
    yield before
    cluster.helm("uninstall", "--ignore-not-found")
    cluster.remove_jobs()


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_api_server_takes_every_object(variant: str, cluster: HelmCluster, empty: set[Object]) -> None:
    values = {key: value for key, value in VARIANTS[variant].items() if key != "runtimes"}
    objects = rendered(values)
    pods = [each["spec"] for each in of_kind(objects, "Pod")]
    pods += [each["spec"]["template"]["spec"] for each in of_kind(objects, "Deployment")]
    for each in objects:
        if each["kind"] != "Pod":
            cluster.apply(each, dryRun="All")
    for spec in pods:  # the namespace enforces the restricted level
        metadata = {"name": "pod", "namespace": "trainyard"}
        spec = {**spec, "serviceAccountName": "default"}
        cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}, dryRun="All")
    assert cluster.objects() - DEFINITIONS == empty


def test_an_uninstall_leaves_what_was_asked_to_stay_and_nothing_else(cluster: HelmCluster, empty: set[Object]) -> None:
    values = {"replicas": 2, "runtimes": RUNTIMES, "monitoring": MONITORING}
    cluster.helm("install", str(CHART), values=values)
    assert ("trainingruntimes", "", "a100") in cluster.objects()
    cluster.apply({**JOB, "metadata": {"name": "digits", "namespace": "team-a"}})
    cluster.helm("uninstall")
    assert cluster.objects() - empty == {*DEFINITIONS, ("trainingjobs", "team-a", "digits")}

    cluster.helm("install", str(CHART), values=values)  # takes over what stayed
    cluster.helm("uninstall")
    assert cluster.objects() - empty == {*DEFINITIONS, ("trainingjobs", "team-a", "digits")}


def test_without_keep_nothing_is_left(cluster: HelmCluster, empty: set[Object]) -> None:
    cluster.helm("install", str(CHART), values={"runtimes": RUNTIMES, "crds": {"keep": False}})
    cluster.apply({**JOB, "metadata": {"name": "digits", "namespace": "team-a"}})
    cluster.helm("uninstall")
    wait_until(lambda: not cluster.definitions(), "the definitions are gone, with all their objects")
    assert cluster.objects() == empty


def test_an_upgrade_upgrades_the_definitions_and_touches_no_job(
    cluster: HelmCluster, empty: set[Object], tmp_path: Path
) -> None:
    cluster.remove_definitions()
    older = _older_chart(tmp_path)
    cluster.helm("install", str(older))
    cluster.apply({**JOB, "metadata": {"name": "digits", "namespace": "team-a"}})
    path = "/apis/trainyard.dev/v1alpha1/namespaces/team-a/trainingjobs/digits"
    columns = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/trainingjobs.trainyard.dev"
    before = cluster.get(path)
    assert "additionalPrinterColumns" not in cluster.get(columns)["spec"]["versions"][0]

    cluster.helm("upgrade", str(CHART))
    assert cluster.get(columns)["spec"]["versions"][0]["additionalPrinterColumns"]
    after = cluster.get(path)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["spec"] == before["spec"]


def _older_chart(folder: Path) -> Path:
    """The chart as it might have been: its TrainingJob prints no columns."""
    copy = Path(shutil.copytree(CHART, folder / "trainyard"))
    file = copy / "files" / "crds" / "trainyard.dev_trainingjobs.yaml"
    definition = yaml.safe_load(file.read_text())
    del definition["spec"]["versions"][0]["additionalPrinterColumns"]
    metadata = {"apiVersion": definition.pop("apiVersion"), "metadata": definition.pop("metadata")}
    file.write_text(yaml.safe_dump(metadata, sort_keys=False) + yaml.safe_dump(definition))
    return copy


def presets(**uris: str) -> dict[str, Any]:
    return {"runtimes": {name: {"storage": {"uri": f"s3://{uri}"}} for name, uri in uris.items()}}


def uris(cluster: HelmCluster) -> dict[str, str]:
    items = cluster.get("/apis/trainyard.dev/v1alpha1/trainingruntimes")["items"]
    return {each["metadata"]["name"]: each["spec"]["storage"]["uri"].removeprefix("s3://") for each in items}


def test_presets_follow_the_values(cluster: HelmCluster, empty: set[Object]) -> None:
    for definition in (CHART / "files" / "crds").iterdir():
        cluster.apply(yaml.safe_load(definition.read_text()))
    cluster.helm("install", str(CHART), "--take-ownership", values=presets(default="a", other="b"))
    assert uris(cluster) == {"default": "a", "other": "b"}
    cluster.helm("upgrade", str(CHART), values=presets(default="a", other="b"))
    cluster.helm("upgrade", str(CHART), values=presets(default="new"))
    assert uris(cluster) == {"default": "new"}
    cluster.helm("rollback", "1")
    assert uris(cluster) == {"default": "a", "other": "b"}
    cluster.helm("uninstall")
    assert cluster.objects() - empty == DEFINITIONS


def test_presets_that_came_before_their_kind_was_known_follow_too(cluster: HelmCluster, empty: set[Object]) -> None:
    cluster.remove_definitions()
    cluster.helm("install", str(CHART), values=presets(default="a", other="b"))
    assert uris(cluster) == {"default": "a", "other": "b"}
    cluster.helm("upgrade", str(CHART), values=presets(default="new", more="c"))
    assert uris(cluster) == {"default": "new", "more": "c"}
    cluster.helm("rollback", "1")
    assert uris(cluster) == {"default": "a", "other": "b"}
    cluster.helm("rollback", "2")
    assert uris(cluster) == {"default": "new", "more": "c"}
    kept = uids(cluster)
    cluster.helm("upgrade", str(CHART), values=presets(default="newer", more="c"))
    assert uris(cluster) == {"default": "newer", "more": "c"}
    assert uids(cluster) == kept, "from then on they are changed, not made anew"
    cluster.helm("rollback", "1")
    cluster.helm("uninstall")
    assert cluster.objects() - empty == DEFINITIONS


def test_a_first_upgrade_that_fails_leaves_the_presets(cluster: HelmCluster, empty: set[Object]) -> None:
    cluster.remove_definitions()
    cluster.helm("install", str(CHART), values=presets(default="a"))
    refused = {"runtimes": {"default": {"template": {"imagePullPolicy": "Often"}}}}
    with pytest.raises(AssertionError, match="imagePullPolicy"):
        cluster.helm("upgrade", str(CHART), values=refused)
    cluster.helm("rollback", "1")  # as --atomic does
    assert uris(cluster) == {"default": "a"}


def uids(cluster: HelmCluster) -> set[str]:
    return {each["metadata"]["uid"] for each in cluster.get("/apis/trainyard.dev/v1alpha1/trainingruntimes")["items"]}


def test_a_preset_that_makes_no_sense_is_refused(cluster: HelmCluster, empty: set[Object]) -> None:
    cluster.helm("install", str(CHART))
    with pytest.raises(AssertionError, match="imagePullPolicy"):
        cluster.helm(
            "upgrade", str(CHART), values={"runtimes": {"default": {"template": {"imagePullPolicy": "Often"}}}}
        )


def test_the_commands_of_the_documentation(cluster: HelmCluster, empty: set[Object], tmp_path: Path) -> None:
    commands = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs" / "operate.md").read_text(), re.DOTALL | re.MULTILINE)
    commands = [command for command in commands if command.startswith("helm ")]
    assert [command.split()[1] for command in commands] == ["install", "upgrade", "uninstall"]
    (tmp_path / "helm").symlink_to(binary())
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "KUBECONFIG": str(cluster.plane.kubeconfig()),
    }
    for command in commands:
        done = subprocess.run(command, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert cluster.objects() - empty == DEFINITIONS


def test_rights_in_all_namespaces(cluster: HelmCluster, empty: set[Object]) -> None:
    cluster.helm("install", str(CHART))
    for namespace in ("team-a", "kube-system"):
        assert cluster.may("create", "", "pods", namespace)
        assert cluster.may("patch", "trainyard.dev", "trainingjobs/status", namespace)
        for verb in ("get", "list", "watch", "create", "update", "patch", "delete"):
            assert not cluster.may(verb, "", "secrets", namespace)
        assert not cluster.may("update", "trainyard.dev", "trainingjobs", namespace)
        assert not cluster.may("delete", "trainyard.dev", "trainingjobs", namespace)
        assert not cluster.may("create", "", "pods/exec", namespace)
    assert cluster.may("list", "", "nodes", None)
    assert cluster.may("create", "coordination.k8s.io", "leases", "trainyard")
    assert not cluster.may("create", "coordination.k8s.io", "leases", "team-a")


def test_rights_of_people(cluster: HelmCluster, empty: set[Object]) -> None:
    cluster.helm("install", str(CHART))
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole"},
    }
    for person, role in (("ann", "edit"), ("bob", "view")):
        subject = {"kind": "User", "name": person, "apiGroup": "rbac.authorization.k8s.io"}
        metadata = {"name": person, "namespace": "team-a"}
        cluster.apply(
            {**binding, "metadata": metadata, "roleRef": {**binding["roleRef"], "name": role}, "subjects": [subject]}
        )

    def may(person: str, verb: str, resource: str, namespace: str = "team-a") -> bool:
        return cluster.may(verb, "trainyard.dev", resource, namespace, user=person)

    wait_until(lambda: may("ann", "create", "trainingjobs"), "the roles are joined")
    assert may("ann", "patch", "trainingjobs/scale")
    assert not may("ann", "patch", "trainingjobs/status")
    assert not may("ann", "create", "trainingjobs", "team-b")
    assert may("bob", "get", "trainingjobs")
    assert not may("bob", "delete", "trainingjobs")
    for verb, allowed in (("get", True), ("list", True), ("delete", False)):
        asked = cluster.may(
            verb, "trainyard.dev", "trainingruntimes", None, user="ann", groups=["system:authenticated"]
        )
        assert asked is allowed, "presets are in no namespace, where a RoleBinding gives nothing"
    roles = client.RbacAuthorizationV1Api(cluster.api)
    for person in ("ann", "bob"):
        roles.delete_namespaced_role_binding(person, "team-a")


def test_rights_in_named_namespaces(cluster: HelmCluster, empty: set[Object]) -> None:
    for definition in (CHART / "files" / "crds").iterdir():  # as an administrator would
        cluster.apply(yaml.safe_load(definition.read_text()))
    before = cluster.objects()
    cluster.helm("install", str(CHART), values=VARIANTS["namespaced"])
    made = [each for each in cluster.objects() - before if each[0] != "ipaddresses"]  # the Service's, by Kubernetes
    assert {namespace for _, namespace, _ in made} == {"trainyard", "team-a", "team-b"}
    assert cluster.may("create", "", "pods", "team-a")
    assert not cluster.may("create", "", "pods", "default")
    assert not cluster.may("list", "", "pods", None)
    assert not cluster.may("list", "", "nodes", None)
    cluster.helm("uninstall")
    assert cluster.objects() - before == set()
