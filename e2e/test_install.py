"""The chart: an upgrade while a job runs changes nothing about it; uninstalled, it leaves what was asked to stay."""

from harness import product
from harness.cluster import Cluster
from harness.images import Images
from harness.product import RELEASE, SYSTEM, Team, until


def test_an_upgrade_during_a_run_changes_nothing(team: Team, cluster: Cluster, images: Images) -> None:
    team.apply(team.digits("digits", epochs=2000))
    team.stepping("digits", beyond=5)
    before = {name: pod["metadata"]["uid"] for name, pod in team.pods("digits").items()}
    product.install(cluster, images, "--set", "logLevel=DEBUG")
    step = team.stepping("digits")
    team.stepping("digits", beyond=step)
    assert {name: pod["metadata"]["uid"] for name, pod in team.pods("digits").items()} == before
    assert team.status("digits")["restarts"]["attempt"] == 0


def test_helm_test_passes(operator: str, cluster: Cluster) -> None:
    assert "Phase:          Succeeded" in cluster.helm("test", RELEASE, "-n", operator, "--timeout", "120s")


def test_uninstalled_nothing_is_left_but_what_was_to_stay(operator: str, cluster: Cluster, images: Images) -> None:
    cluster.helm("uninstall", RELEASE, "-n", SYSTEM, "--wait")
    try:
        chosen = ("-l", f"app.kubernetes.io/instance={RELEASE}", "-A", "-o", "name")
        kinds = "all,lease,configmap,secret,serviceaccount,networkpolicy,pdb"
        kinds += ",role,rolebinding,clusterrole,clusterrolebinding"
        until("all is gone", lambda: {"left": cluster.kubectl("get", kinds, *chosen)}, lambda it: not it["left"], 60)
        assert "trainingjobs.trainyard.dev" in cluster.kubectl("get", "crds", "-o", "name")
    finally:
        product.install(cluster, images)
