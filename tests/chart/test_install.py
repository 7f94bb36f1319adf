"""Install, upgrade and uninstall on a real API server: what is made, what may be done, and what is left."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from support.chart_values import MONITORING, RUNTIMES, VARIANTS
from support.control_plane import ControlPlane, control_plane
from support.helm import CHART, helm, rendered
from support.launched import wait_until
from support.schemas import monitoring_definitions

Object = tuple[str, str, str]  # resource, namespace, name
JOB = {
    "apiVersion": "trainyard.dev/v1alpha1",
    "kind": "TrainingJob",
    "metadata": {"name": "digits"},
    "spec": {"script": {"command": ["train.py"]}},
}
DEFINITIONS = {
    ("customresourcedefinitions", "", f"{name}.trainyard.dev") for name in ("trainingjobs", "trainingruntimes")
}


class Cluster:
    """The API server, asked as an administrator, and Helm for it."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self.plane = plane
        self.api = plane.api()
        settings = self.api.configuration
        token = settings.api_key["authorization"].removeprefix("Bearer ")
        server = {"server": settings.host, "certificate-authority": settings.ssl_ca_cert}
        self.folder = folder
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "tests", "cluster": server}],
                    "users": [{"name": "tests", "user": {"token": token}}],
                    "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
                    "current-context": "tests",
                }
            )
        )

    def helm(self, verb: str, *words: str, values: dict[str, Any] | None = None, namespace: str = "trainyard") -> str:
        file = self.folder / "values.yaml"
        file.write_text(yaml.safe_dump(values or {}))
        given = ["-f", str(file)] if verb in ("install", "upgrade") else []
        done = helm(verb, "trainyard", *words, *given, "-n", namespace, "--kubeconfig", str(self.kubeconfig))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def get(self, path: str) -> Any:
        with self.plane.get(path) as answer:
            return json.load(answer)

    def objects(self) -> set[Object]:
        """Everything there is but what the API server makes of itself over time."""
        versions = ["/api/v1"]
        versions += [f"/apis/{each['preferredVersion']['groupVersion']}" for each in self.get("/apis")["groups"]]
        found = set()
        for version in versions:
            for resource in self.get(version)["resources"]:
                name = resource["name"]
                if "list" not in resource["verbs"] or name in ("events", "leases", "apiservices", "componentstatuses"):
                    continue
                for each in self.get(f"{version}/{name}")["items"]:
                    metadata = each["metadata"]
                    found.add((name, metadata.get("namespace", ""), metadata["name"]))
        return found

    def create(self, body: dict[str, Any], **query: str) -> Any:
        """POST, as an administrator; strict."""
        group = body["apiVersion"]
        kind = f"{body['kind'].lower()}s".replace("policys", "policies")
        namespace = body["metadata"].get("namespace")
        path = f"/api/{group}" if "/" not in group else f"/apis/{group}"
        path += f"/namespaces/{namespace}/{kind}" if namespace else f"/{kind}"
        query = {"fieldValidation": "Strict", **query}
        return self.api.call_api(
            *(path, "POST"),
            query_params=list(query.items()),
            body=body,
            auth_settings=["BearerToken"],
            response_type="object",
        )

    def may(self, verb: str, group: str, resource: str, namespace: str | None) -> bool:
        """Whether the operator's account may, by the API server's own word."""
        resource, _, subresource = resource.partition("/")
        asked = client.V1ResourceAttributes(
            verb=verb, group=group, resource=resource, subresource=subresource, namespace=namespace
        )
        user = "system:serviceaccount:trainyard:trainyard-operator"
        review = client.V1SubjectAccessReview(
            spec=client.V1SubjectAccessReviewSpec(user=user, resource_attributes=asked)
        )
        return bool(client.AuthorizationV1Api(self.api).create_subject_access_review(review).status.allowed)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with a few namespaces and the Prometheus Operator's definitions."""
    with control_plane(tmp_path_factory.mktemp("control-plane")) as plane:
        found = Cluster(plane, tmp_path_factory.mktemp("helm"))
        with found.api:
            for name in ("trainyard", "team-a", "team-b"):
                found.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            for definition in monitoring_definitions():
                found.create(definition)
            wait_until(lambda: "monitoring.coreos.com" in str(found.get("/apis")), "its kinds are known")
            yield found


@pytest.fixture
def empty(cluster: Cluster) -> Iterator[set[Object]]:
    """What there is before; whatever a test leaves is removed."""
    before = cluster.objects()
    yield before
    helm("uninstall", "trainyard", "-n", "trainyard", "--ignore-not-found", "--kubeconfig", str(cluster.kubeconfig))
    extensions = client.ApiextensionsV1Api(cluster.api)
    for _, _, name in DEFINITIONS & cluster.objects():
        extensions.delete_custom_resource_definition(name)
    wait_until(lambda: not DEFINITIONS & cluster.objects(), "the definitions are gone")


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_api_server_takes_every_object(variant: str, cluster: Cluster, empty: set[Object]) -> None:
    values = {key: value for key, value in VARIANTS[variant].items() if key != "runtimes"}
    taken = [cluster.create(each, dryRun="All") for each in rendered(values)]
    assert taken
    assert cluster.objects() == empty


def test_an_uninstall_leaves_what_was_asked_to_stay_and_nothing_else(cluster: Cluster, empty: set[Object]) -> None:
    values = {"replicas": 2, "runtimes": RUNTIMES, "monitoring": MONITORING}
    cluster.helm("install", str(CHART), values=values)
    assert ("trainingruntimes", "", "a100") in cluster.objects()
    cluster.create({**JOB, "metadata": {"name": "digits", "namespace": "team-a"}})
    cluster.helm("uninstall")
    assert cluster.objects() - empty == {*DEFINITIONS, ("trainingjobs", "team-a", "digits")}

    cluster.helm("install", str(CHART), values=values)  # takes over what stayed
    cluster.helm("uninstall")
    assert cluster.objects() - empty == {*DEFINITIONS, ("trainingjobs", "team-a", "digits")}


def test_without_keep_nothing_is_left(cluster: Cluster, empty: set[Object]) -> None:
    cluster.helm("install", str(CHART), values={"runtimes": RUNTIMES, "crds": {"keep": False}})
    cluster.create({**JOB, "metadata": {"name": "digits", "namespace": "team-a"}})
    cluster.helm("uninstall")
    wait_until(lambda: cluster.objects() == empty, "the definitions and their objects are gone")


def test_an_upgrade_upgrades_the_definitions_and_touches_no_job(
    cluster: Cluster, empty: set[Object], tmp_path: Path
) -> None:
    older = _older_chart(tmp_path)
    cluster.helm("install", str(older))
    cluster.create({**JOB, "metadata": {"name": "digits", "namespace": "team-a"}})
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
    import shutil

    copy = Path(shutil.copytree(CHART, folder / "trainyard"))
    file = copy / "files" / "crds" / "trainyard.dev_trainingjobs.yaml"
    definition = yaml.safe_load(file.read_text())
    del definition["spec"]["versions"][0]["additionalPrinterColumns"]
    metadata = {"apiVersion": definition.pop("apiVersion"), "metadata": definition.pop("metadata")}
    file.write_text(yaml.safe_dump(metadata, sort_keys=False) + yaml.safe_dump(definition))
    return copy


def test_presets_follow_the_values(cluster: Cluster, empty: set[Object]) -> None:
    def uris() -> dict[str, str]:
        items = cluster.get("/apis/trainyard.dev/v1alpha1/trainingruntimes")["items"]
        return {each["metadata"]["name"]: each["spec"]["storage"]["uri"] for each in items}

    presets = {name: {"storage": {"uri": f"s3://{name}"}} for name in ("default", "other")}
    cluster.helm("install", str(CHART), values={"runtimes": presets})
    assert uris() == {"default": "s3://default", "other": "s3://other"}
    cluster.helm("upgrade", str(CHART), values={"runtimes": presets})
    changed = {"default": {"storage": {"uri": "s3://new"}}}
    cluster.helm("upgrade", str(CHART), values={"runtimes": changed})
    assert uris() == {"default": "s3://new"}
    cluster.helm("uninstall")
    assert cluster.objects() - empty == DEFINITIONS


def test_a_preset_that_makes_no_sense_is_refused(cluster: Cluster, empty: set[Object]) -> None:
    cluster.helm("install", str(CHART))
    with pytest.raises(AssertionError, match="imagePullPolicy"):
        cluster.helm(
            "upgrade", str(CHART), values={"runtimes": {"default": {"template": {"imagePullPolicy": "Often"}}}}
        )


def test_rights_in_all_namespaces(cluster: Cluster, empty: set[Object]) -> None:
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


def test_rights_in_named_namespaces(cluster: Cluster, empty: set[Object]) -> None:
    for definition in (CHART / "files" / "crds").iterdir():  # as an administrator would
        cluster.create(yaml.safe_load(definition.read_text()))
    before = cluster.objects()
    cluster.helm("install", str(CHART), values=VARIANTS["namespaced"])
    made = {each for each in cluster.objects() - before if each[0] != "secrets"}  # Helm's record of the release
    assert {namespace for _, namespace, _ in made} == {"trainyard", "team-a", "team-b"}
    assert cluster.may("create", "", "pods", "team-a")
    assert not cluster.may("create", "", "pods", "default")
    assert not cluster.may("list", "", "pods", None)
    assert not cluster.may("list", "", "nodes", None)
    cluster.helm("uninstall")
    assert cluster.objects() == before
