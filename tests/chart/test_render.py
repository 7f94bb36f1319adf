"""What each option of the chart does to the objects it makes."""

from typing import Any

import pytest
import yaml

from support.chart_values import DIGEST, MONITORING, RUNTIMES, VARIANTS
from support.helm import CHART, of_kind, rendered


def deployment(values: dict[str, Any] | None = None) -> dict[str, Any]:
    (found,) = of_kind(rendered(values), "Deployment")
    return found


def pod(values: dict[str, Any] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = deployment(values)["spec"]["template"]
    return found


def environment(values: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod(values)["spec"]["containers"]
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


def test_the_operator_is_told_what_it_needs() -> None:
    told = environment({"namespaces": ["a", "b"], "logLevel": "DEBUG", "extraEnv": [{"name": "MORE", "value": "1"}]})
    assert told["TRAINYARD_NAMESPACES"] == "a,b"
    assert told["TRAINYARD_IMAGE"] == "ghcr.io/trainyard/trainer:0.1.0"
    assert told["TRAINYARD_PAYLOAD_IMAGE"] == "ghcr.io/trainyard/payload:0.1.0"
    assert told["TRAINYARD_LEASE"] == deployment()["metadata"]["name"]
    assert told["TRAINYARD_LOG_LEVEL"] == "DEBUG"
    assert told["MORE"] == "1"
    assert told["POD_NAME"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert told["POD_NAMESPACE"] == {"fieldRef": {"fieldPath": "metadata.namespace"}}
    assert "TRAINYARD_RUNTIMES" not in told


def test_a_digest_wins_over_a_tag() -> None:
    image = {"repository": "example.org:5000/operator", "tag": "v2"}
    assert pod({"image": image})["spec"]["containers"][0]["image"] == "example.org:5000/operator:v2"
    pinned = pod({"image": {**image, "digest": DIGEST}, "trainerImage": {"digest": DIGEST}})
    assert pinned["spec"]["containers"][0]["image"] == f"example.org:5000/operator@{DIGEST}"
    assert environment({"trainerImage": {"digest": DIGEST}})["TRAINYARD_IMAGE"].endswith(f"@{DIGEST}")
    assert environment({"payloadImage": {"digest": DIGEST}})["TRAINYARD_PAYLOAD_IMAGE"].endswith(f"@{DIGEST}")


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_pod_satisfies_the_restricted_level(variant: str) -> None:
    objects = rendered(VARIANTS[variant])
    pods = [each["spec"]["template"]["spec"] for each in of_kind(objects, "Deployment")]
    pods += [each["spec"] for each in of_kind(objects, "Pod")]
    assert len(pods) == 2
    for spec in pods:
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 65532
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert not [each for each in spec.get("volumes", []) if "hostPath" in each]
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}


def test_where_the_operator_runs() -> None:
    values = VARIANTS["everything"]
    spec = pod(values)["spec"]
    for name in ("priorityClassName", "nodeSelector", "tolerations", "affinity"):
        assert spec[name] == values[name], name
    (asked,), (spread,) = values["topologySpreadConstraints"], spec["topologySpreadConstraints"]
    selector = deployment(values)["spec"]["selector"]
    assert spread == {**asked, "labelSelector": selector}
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert pod(values)["metadata"]["labels"]["team"] == "platform"
    assert pod(values)["metadata"]["annotations"]["example.org/note"] == "operator"
    assert pod()["spec"]["topologySpreadConstraints"][0]["whenUnsatisfiable"] == "ScheduleAnyway"


def test_labels_select_the_operator_and_nothing_else() -> None:
    objects = rendered({"replicas": 2})
    labels = pod()["metadata"]["labels"]
    test_pod = of_kind(objects, "Pod")[0]["metadata"]["labels"]
    selectors = [
        of_kind(objects, "Deployment")[0]["spec"]["selector"]["matchLabels"],
        of_kind(objects, "Service")[0]["spec"]["selector"],
        of_kind(objects, "NetworkPolicy")[0]["spec"]["podSelector"]["matchLabels"],
        of_kind(objects, "PodDisruptionBudget")[0]["spec"]["selector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert not selector.items() <= test_pod.items()


def test_a_budget_for_disruptions_where_there_are_two() -> None:
    assert of_kind(rendered(), "PodDisruptionBudget") == []
    assert len(of_kind(rendered({"replicas": 2}), "PodDisruptionBudget")) == 1
    assert of_kind(rendered({"replicas": 2, "podDisruptionBudget": {"enabled": False}}), "PodDisruptionBudget") == []


def test_definitions_are_kept_by_choice() -> None:
    for keep in (True, False):
        definitions = of_kind(rendered({"crds": {"keep": keep}}), "CustomResourceDefinition")
        assert len(definitions) == 2
        for each in definitions:
            marks = {
                "helm.sh/resource-policy": "keep",
                "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
            }
            assert each["metadata"].get("annotations") == (marks if keep else None)
    assert of_kind(rendered({"crds": {"install": False}}), "CustomResourceDefinition") == []


def test_definitions_are_the_projects_own() -> None:
    source, copies = CHART.parents[1] / "crds", CHART / "files" / "crds"
    assert {path.name for path in copies.iterdir()} == {path.name for path in source.glob("trainyard.dev_*.yaml")}
    for path in copies.iterdir():
        assert path.read_text() == (source / path.name).read_text(), "run `make generate`"
    specs = {each["metadata"]["name"]: each["spec"] for each in of_kind(rendered(), "CustomResourceDefinition")}
    originals = [yaml.safe_load(path.read_text()) for path in source.glob("trainyard.dev_*.yaml")]
    assert specs == {each["metadata"]["name"]: each["spec"] for each in originals}


def test_presets_are_objects_or_a_file() -> None:
    known = ("--api-versions", "trainyard.dev/v1alpha1/TrainingRuntime")
    objects = of_kind(rendered({"runtimes": RUNTIMES}, *known), "TrainingRuntime")
    assert {each["metadata"]["name"]: each["spec"] for each in objects} == RUNTIMES
    assert all("annotations" not in each["metadata"] for each in objects)

    namespaced = rendered({"runtimes": RUNTIMES, "namespaces": ["a"]})
    assert of_kind(namespaced, "TrainingRuntime") == []
    (file,) = of_kind(namespaced, "ConfigMap")
    presets = [each for each in yaml.safe_load_all(file["data"]["runtimes.yaml"]) if each]
    assert {each["metadata"]["name"]: each["spec"] for each in presets} == RUNTIMES
    told = environment({"runtimes": RUNTIMES, "namespaces": ["a"]})
    assert told["TRAINYARD_RUNTIMES"] == "/etc/trainyard/runtimes.yaml"
    changed = {"default": {"storage": {"uri": "s3://other"}}}
    before, after = (pod({"runtimes": each, "namespaces": ["a"]}) for each in (RUNTIMES, changed))
    assert before["metadata"]["annotations"] != after["metadata"]["annotations"]  # so that it is read anew


def test_the_network_policy() -> None:
    (policy,) = of_kind(rendered(), "NetworkPolicy")
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert policy["spec"]["ingress"] == [{"ports": [{"protocol": "TCP", "port": 8080}]}]
    dns, server, launchers = policy["spec"]["egress"]
    assert {each["port"] for each in dns["ports"]} == {53}
    assert {each["port"] for each in server["ports"]} == {443, 6443}
    assert [each["port"] for each in launchers["ports"]] == [9465]
    jobs = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "trainyard-job"}}, "namespaceSelector": {}}
    assert launchers["to"] == [jobs]

    (narrow,) = of_kind(rendered({**VARIANTS["everything"], "namespaces": ["a"]}), "NetworkPolicy")
    sources = narrow["spec"]["ingress"][0]["from"]
    assert sources[0] == VARIANTS["everything"]["networkPolicy"]["metricsFrom"][0]
    assert sources[1]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "test"
    assert narrow["spec"]["egress"][1]["to"] == [{"ipBlock": {"cidr": "10.96.0.1/32"}}]
    (jobs,) = narrow["spec"]["egress"][2]["to"]
    assert jobs["namespaceSelector"]["matchExpressions"][0]["values"] == ["a"]


def test_monitoring() -> None:
    kinds = {"ServiceMonitor", "PodMonitor", "PrometheusRule", "ConfigMap"}
    assert not kinds & {each["kind"] for each in rendered()}
    objects = rendered({"monitoring": MONITORING})
    for kind in kinds - {"ConfigMap"}:
        (one,) = of_kind(objects, kind)
        assert one["metadata"]["labels"]["release"] == "prometheus"
    (service_monitor,) = of_kind(objects, "ServiceMonitor")
    assert service_monitor["spec"]["endpoints"][0]["honorLabels"] is True
    (service,) = of_kind(objects, "Service")
    assert service_monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (rule,) = of_kind(objects, "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    dashboards = of_kind(objects, "ConfigMap")
    assert {next(iter(each["data"])) for each in dashboards} == {"trainyard-job.json", "trainyard-fleet.json"}
    for each in dashboards:
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        ((name, text),) = each["data"].items()
        assert text == (CHART / "files" / "dashboards" / name.removeprefix("trainyard-")).read_text().rstrip("\n")


def test_the_pod_monitor_finds_what_the_operator_makes() -> None:
    (monitor,) = of_kind(rendered({"monitoring": MONITORING}), "PodMonitor")
    assert monitor["spec"]["namespaceSelector"] == {"any": True}
    assert monitor["spec"]["selector"]["matchLabels"] == {"app.kubernetes.io/name": "trainyard-job"}
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] == "metrics"
    assert {each["targetLabel"] for each in endpoint["relabelings"]} == {"job_name", "node"}
    (narrow,) = of_kind(rendered({"monitoring": MONITORING, "namespaces": ["a"]}), "PodMonitor")
    assert narrow["spec"]["namespaceSelector"] == {"matchNames": ["a"]}


def test_two_releases_dont_meet() -> None:
    def names(release: str, namespace: str) -> set[tuple[str, str]]:
        objects = rendered({"monitoring": MONITORING}, release=release, namespace=namespace)
        cluster = [each for each in objects if each["kind"].startswith("ClusterRole")]
        return {(each["kind"], each["metadata"]["name"]) for each in cluster}

    assert not names("trainyard", "a") & names("trainyard", "b")
    common = {**MONITORING, "dashboards": {"enabled": True, "namespace": "grafana"}}
    dashboards = [
        {each["metadata"]["name"] for each in of_kind(rendered({"monitoring": common}, namespace=each), "ConfigMap")}
        for each in ("a", "b")
    ]
    assert len(dashboards[0] | dashboards[1]) == 4
    long = rendered({"monitoring": MONITORING}, release="r" * 53, namespace="n" * 63)
    names_of_objects = {each["metadata"]["name"] for each in long if "Role" not in each["kind"]}  # theirs may be longer
    assert max(map(len, names_of_objects)) <= 63


def _not_text(value: Any, path: str = "") -> list[str]:
    """Where a name, a namespace or a label isn't text."""
    if isinstance(value, list):
        return [found for each in value for found in _not_text(each, path)]
    if not isinstance(value, dict):
        return []
    named = {key: each for key, each in value.items() if key in ("name", "namespace", "serviceAccountName")}
    named |= value if path.endswith(("abels", "annotations")) else {}
    wrong = [f"{path}.{key}" for key, each in named.items() if not isinstance(each, str | dict)]
    return wrong + [found for key, each in value.items() for found in _not_text(each, f"{path}.{key}")]


@pytest.mark.parametrize("namespaces", [[], ["007", "12"]])
def test_names_that_look_like_numbers(namespaces: list[str]) -> None:
    values = {
        "namespaces": namespaces,
        "crds": {"install": False},
        "runtimes": {"100": {}, "true": {}},
        "monitoring": MONITORING,
        "serviceAccount": {"name": "12"},
        "priorityClassName": "99",
        "networkPolicy": VARIANTS["everything"]["networkPolicy"],
    }
    objects = rendered(values, release="123", namespace="1e5")
    assert [found for each in objects for found in _not_text(each, each["kind"])] == []
    spec = of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]
    assert spec["priorityClassName"] == "99"
    if namespaces:
        (file,) = [each for each in of_kind(objects, "ConfigMap") if "runtimes.yaml" in each["data"]]
        presets = [each for each in yaml.safe_load_all(file["data"]["runtimes.yaml"]) if each]
        assert [each["metadata"]["name"] for each in presets] == ["100", "true"]
