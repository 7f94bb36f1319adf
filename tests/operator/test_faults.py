"""Who answers for a fault, how often it is borne, and what is said of it."""

import json
from typing import Any

import pytest

from support.cluster import Namespace, container, now, until


def report(**fields: object) -> str:
    return json.dumps({"version": 1, **fields})


def fault(cause: str, message: str, **fields: object) -> dict[str, object]:
    return {"cause": cause, "message": message, **fields}


def test_an_error_that_no_retry_cures_ends_the_job_with_its_words(space: Namespace) -> None:
    space.create("digits")
    space.run_all("digits")
    said = fault("UserError", "ValueError: the column is empty", rank=3, remedy="Fill it.")
    space.end("digits-1", 1, report(fault=said))
    status = space.when("digits", phase="Failed", reason="UserError")
    assert status["message"] == "digits-1 on node-1: rank 3: ValueError: the column is empty Fill it."
    until(
        "the other is ended, not deleted", lambda: "activeDeadlineSeconds" in space.pods("digits")["digits-0"]["spec"]
    )


def test_out_of_memory_is_the_programs_own_and_counts(space: Namespace) -> None:
    space.create("digits", recovery={"maxRestarts": 1})
    space.run_all("digits")
    space.end("digits-0", 137, reason="OOMKilled")
    status = space.when("digits", phase="Restarting", reason="OutOfMemory")
    assert status["restarts"]["user"] == 1
    assert "restart 1 of 1" in status["message"]
    _confirm_deletions(space)
    space.run_all("digits")
    space.end("digits-0", 137, reason="OOMKilled")
    status = space.when("digits", phase="Failed", reason="OutOfMemory")
    assert "all 1 restarts are used up" in status["message"]


def test_faults_that_come_together_are_one(space: Namespace) -> None:
    space.create("digits", nodes=3)
    space.run_all("digits", 3)
    for index in range(3):
        space.end(f"digits-{index}", 137, reason="OOMKilled")
    _confirm_deletions(space)
    space.run_all("digits", 3)
    assert space.status("digits")["restarts"]["user"] == 1


def test_an_evicted_pod_costs_the_program_nothing(space: Namespace) -> None:
    space.create("digits", recovery={"maxRestarts": 0})
    before = space.run_all("digits")
    space.pod_status("digits-1", phase="Failed", reason="Evicted", message="The node was low on resource: memory.")
    status = space.when("digits", reason="Evicted")
    assert status["restarts"] | {"lastTime": ""} == {
        "user": 0,
        "infrastructure": 1,
        "attempt": 1,
        "lastTime": "",
        "lastCause": "Evicted",
    }
    _confirm_deletions(space)
    after = space.run_all("digits")
    assert after["digits-0"]["metadata"]["uid"] == before["digits-0"]["metadata"]["uid"]
    assert after["digits-1"]["metadata"]["labels"]["trainyard.dev/attempt"] == "1"


def test_a_deleted_pod_is_replaced_once_it_is_gone(space: Namespace) -> None:
    space.create("digits")
    space.run_all("digits")
    space.core.delete_namespaced_pod("digits-1", space.name)
    status = space.when("digits", phase="Restarting", reason="PodDeleted")
    assert status["restarts"]["infrastructure"] == 1
    assert len(space.pods("digits")) == 2  # the old one is still there
    space.remove("digits-1")
    space.run_all("digits")
    assert space.status("digits")["restarts"]["infrastructure"] == 1


def test_a_silent_node_is_given_up_and_its_pod_replaced(space: Namespace) -> None:
    space.create("digits", recovery={"nodeLossSeconds": 1})
    name = f"gone-{space.name}"[:60]
    space.call("POST", "/api/v1/nodes", {"metadata": {"name": name}})
    pods = space.created("digits")
    space.run("digits-0", "node-0")
    space.run("digits-1", name)
    space.when("digits", phase="Running")
    silent = [{"type": "Ready", "status": "Unknown", "lastTransitionTime": now(), "reason": "NodeStatusUnknown"}]
    space.call(
        "PATCH", f"/api/v1/nodes/{name}/status", {"status": {"conditions": silent}}, "application/merge-patch+json"
    )
    space.when("digits", phase="Restarting", reason="NodeLost")
    old = pods["digits-1"]["metadata"]["uid"]
    until("it is replaced without a word from its node", lambda: _other(space, "digits-1", old))
    space.run("digits-1", "node-1")
    space.when("digits", phase="Running")
    space.call("DELETE", f"/api/v1/nodes/{name}")


def test_why_a_pod_does_not_run_is_said_in_its_own_words(space: Namespace) -> None:
    space.create("digits")
    space.created("digits")
    scheduled = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes have a GPU",
    }
    space.pod_status("digits-1", conditions=[scheduled])
    status = space.when("digits", reason="Unschedulable")
    assert status["message"] == "0 of 2 nodes run; digits-1: 0/3 nodes have a GPU"
    space.pod_status("digits-1", conditions=[])
    space.bind("digits-1")
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "nope"'}}
    space.pod_status("digits-1", containerStatuses=[container(waiting)])
    assert "image trainer can't be pulled" in space.when("digits", reason="ImagePull")["message"]
    waiting = {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "keys" not found'}}
    space.pod_status("digits-1", containerStatuses=[container(waiting)])
    assert 'secret "keys" not found' in space.when("digits", reason="MissingConfig")["message"]
    space.run_all("digits")


def test_a_volume_that_cannot_be_mounted_is_told_by_its_event(space: Namespace) -> None:
    space.create("digits", nodes=1)
    pod = space.created("digits", 1)["digits-0"]
    space.bind("digits-0")
    space.pod_status("digits-0", startTime="2026-01-01T00:00:00Z")
    said = 'MountVolume.SetUp failed for volume "keys" : secret "keys" not found'
    event = {
        "metadata": {"name": "digits-0.mount"},
        "involvedObject": {"kind": "Pod", "name": "digits-0", "namespace": space.name, "uid": pod["metadata"]["uid"]},
        "type": "Warning",
        "reason": "FailedMount",
        "message": said,
        "lastTimestamp": now(),
    }
    space.call("POST", f"/api/v1/namespaces/{space.name}/events", event)
    assert said in space.when("digits", reason="MissingConfig")["message"]
    space.run("digits-0")
    space.when("digits", phase="Running")


def test_a_gated_pod_is_waited_for(space: Namespace) -> None:
    labels = {"kueue.x-k8s.io/queue-name": "gpus"}
    from support.cluster import job

    body = job("digits", space.name)
    body["metadata"]["labels"] = labels
    space.apply(body)
    pods = space.created("digits")
    metadata = pods["digits-0"]["metadata"]
    assert metadata["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert metadata["labels"]["kueue.x-k8s.io/pod-group-name"] == "tj-digits"
    assert metadata["annotations"]["kueue.x-k8s.io/pod-group-total-count"] == "2"
    gated = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
    space.pod_status("digits-0", conditions=[gated])
    space.when("digits", reason="WaitingForQuota")


def test_a_quota_is_waited_for_and_healed(space: Namespace) -> None:
    quota = {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "1"}}}
    space.call("POST", f"/api/v1/namespaces/{space.name}/resourcequotas", quota)
    until(
        "the quota is in force",
        lambda: space.call("GET", f"/api/v1/namespaces/{space.name}/resourcequotas/few").get("status", {}).get("hard"),
    )
    space.create("digits")
    assert "exceeded quota" in space.when("digits", reason="QuotaExceeded")["message"]
    space.call("DELETE", f"/api/v1/namespaces/{space.name}/resourcequotas/few")
    space.run_all("digits")


@pytest.mark.parametrize(
    ("kind", "spec", "said", "remedy"),
    [
        ("resourcequotas", {"hard": {"limits.cpu": "4"}}, "must specify limits.cpu", "spec.template.resources"),
        (
            "limitranges",
            {"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]},
            "maximum memory usage per Container is 1Gi",
            "LimitRange allows",
        ),
    ],
)
def test_what_a_namespace_allows_is_told(
    space: Namespace, kind: str, spec: dict[str, Any], said: str, remedy: str
) -> None:
    path = f"/api/v1/namespaces/{space.name}/{kind}"
    space.call("POST", path, {"metadata": {"name": "few"}, "spec": spec})
    if kind == "resourcequotas":
        until("it's in force", lambda: space.call("GET", f"{path}/few").get("status", {}).get("hard"))
    space.create("digits", template={"resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "2Gi"}}})
    message = space.when("digits", reason="QuotaExceeded")["message"]
    assert said in message
    assert remedy in message


def test_a_child_that_is_not_ours_is_never_touched(space: Namespace) -> None:
    body = {"metadata": {"name": "tj-digits"}, "data": {"mine": "yes"}}
    space.call("POST", f"/api/v1/namespaces/{space.name}/configmaps", body)
    space.create("digits")
    assert "ConfigMap tj-digits already" in space.when("digits", reason="NameTaken")["message"]
    found = space.call("GET", f"/api/v1/namespaces/{space.name}/configmaps/tj-digits")
    assert found["data"] == {"mine": "yes"}
    space.call("DELETE", f"/api/v1/namespaces/{space.name}/configmaps/tj-digits")
    space.run_all("digits")
    found = space.call("GET", f"/api/v1/namespaces/{space.name}/configmaps/tj-digits")
    assert json.loads(found["data"]["job.json"])["nodes"] == 2


def test_without_object_storage_it_waits_for_a_runtime_that_has_one(space: Namespace) -> None:
    space.create("digits", storage={}, runtime="late")
    assert "create it" in space.when("digits", reason="RuntimeMissing")["message"]
    runtime = {
        "apiVersion": "trainyard.dev/v1alpha1",
        "kind": "TrainingRuntime",
        "metadata": {"name": "late"},
        "spec": {"storage": {"uri": "s3://preset/runs"}, "template": {"image": "preset"}},
    }
    space.call("POST", "/apis/trainyard.dev/v1alpha1/trainingruntimes", runtime)
    pods = space.run_all("digits")
    assert pods["digits-0"]["spec"]["containers"][0]["image"] == "preset"
    path = "/apis/trainyard.dev/v1alpha1/trainingruntimes/late"
    space.call("PATCH", path, {"spec": {"template": {"image": "changed"}}}, "application/merge-patch+json")
    space.core.delete_namespaced_pod("digits-1", space.name, grace_period_seconds=0)
    pods = space.run_all("digits")
    assert pods["digits-1"]["spec"]["containers"][0]["image"] == "preset"  # a running job keeps what it began with
    space.call("DELETE", path)


def _confirm_deletions(space: Namespace) -> None:
    """What kubelets do: pods that ended go as soon as they are deleted."""
    until(
        "failed pods are gone",
        lambda: not [1 for pod in space.pods("digits").values() if pod["status"]["phase"] == "Failed"],
    )


def _other(space: Namespace, name: str, uid: str) -> bool:
    pod = space.pods("digits").get(name)
    return bool(pod and pod["metadata"]["uid"] != uid)
