"""The kustomize base is the chart, and what Flux is given is what it takes."""

import yaml

from support.gitops_base import FILE, ROOT, text
from support.helm import of_kind, rendered
from support.kustomize import build
from support.schemas import VERSIONS, problems


def test_the_base_is_the_chart() -> None:
    assert FILE.read_text() == text(), "run `make generate`"


def test_it_builds_and_every_object_is_valid() -> None:
    objects = build(ROOT / "gitops" / "base")
    kinds = {each["kind"] for each in objects}
    assert kinds >= {"Namespace", "CustomResourceDefinition", "Deployment", "ClusterRole", "NetworkPolicy"}
    for version in VERSIONS:
        assert [found for each in objects if (found := problems(each, version))] == []


def test_it_runs_what_the_chart_runs() -> None:
    (ours,) = of_kind(build(ROOT / "gitops" / "base"), "Deployment")
    (charts,) = of_kind(rendered(), "Deployment")
    assert ours["spec"]["template"]["spec"] == charts["spec"]["template"]["spec"]


def test_all_images_come_from_ones_own_registry() -> None:
    (base,) = of_kind(build(ROOT / "gitops" / "base"), "Deployment")
    (ours,) = of_kind(build(ROOT / "gitops" / "registry"), "Deployment")
    assert "ghcr.io" not in str(ours)
    was, is_ours = (each["spec"]["template"]["spec"]["containers"][0] for each in (base, ours))
    assert is_ours["image"] == was["image"].replace("ghcr.io", "registry.example.org")
    expected = [
        {
            name: value.replace("ghcr.io", "registry.example.org") if name == "value" else value
            for name, value in each.items()
        }
        for each in was["env"]
    ]
    assert sorted(is_ours["env"], key=str) == sorted(expected, key=str)


def test_no_trace_of_helm() -> None:
    for each in build(ROOT / "gitops" / "base"):
        assert "helm" not in str(each["metadata"]).lower()


def test_what_is_removed_from_git_takes_no_job_with_it() -> None:
    objects = build(ROOT / "gitops" / "base")
    kept = {
        each["metadata"]["name"]
        for each in objects
        if each["metadata"].get("annotations", {}).get("kustomize.toolkit.fluxcd.io/prune") == "disabled"
        and each["metadata"]["annotations"]["argocd.argoproj.io/sync-options"] == "Prune=false,Delete=false"
    }
    assert kept == {"trainingjobs.trainyard.dev", "trainingruntimes.trainyard.dev", "trainyard"}


def test_flux_takes_its_examples() -> None:
    for name in ("operator.yaml", "jobs.yaml"):
        documents = list(yaml.safe_load_all((ROOT / "gitops" / "flux" / name).read_text()))
        assert [problems(each) for each in documents] == [[], []]
    operator, jobs = (
        list(yaml.safe_load_all((ROOT / "gitops" / "flux" / name).read_text()))[1]["spec"]
        for name in ("operator.yaml", "jobs.yaml")
    )
    assert (ROOT / operator["path"] / "kustomization.yaml").exists()
    assert jobs["dependsOn"] == [{"name": "trainyard"}]
    assert jobs["wait"] is True
    assert "healthChecks" not in jobs, "wait leaves these unread"
