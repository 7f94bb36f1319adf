"""What is made of a pod's end: whose it was, and on whose account it goes. Pure: no cluster."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.any_history import Cluster
from support.cluster import Object, container
from trainyard_api.documents import NodeReport
from trainyard_api.status import ModelStatus
from trainyard_operator.api import PODS
from trainyard_operator.faults import Account, PodFault, fault_of
from trainyard_operator.names import owner, pod_index
from trainyard_operator.pod import Pod, read_pod

NOW = datetime(2026, 11, 25, 8, tzinfo=UTC)
REPORT = NodeReport(model=ModelStatus(uri="s3://models/digits", digest="1")).model_dump_json(by_alias=True)


def ended(code: int, reason: str = "Error", message: str = "", name: str = "trainer") -> Object:
    return container({"terminated": {"exitCode": code, "reason": reason, "message": message}}, name=name)


def read(phase: str, *containers: Object, before: tuple[Object, ...] = (), **status: Any) -> Pod:
    """A pod of these containers, those in `before` as init containers."""
    given = {"phase": phase, "containerStatuses": list(containers), "initContainerStatuses": list(before), **status}
    pod = {"metadata": {"name": "digits-0", "uid": "1"}, "spec": {"nodeName": "node-a"}, "status": given}
    return read_pod(pod, 0)


def fault(pod: Pod) -> PodFault:
    found = fault_of(pod, None, timedelta(seconds=30), NOW)
    assert found
    return found


def test_a_sidecar_that_ends_badly_hides_neither_the_trainers_end_nor_its_report() -> None:
    sidecar = ended(143, name="proxy")
    for beside in ({"before": (sidecar,)}, {}):
        others = () if beside else (sidecar,)
        pod = read("Failed", *others, ended(2, message="no such column"), **beside)
        assert (fault(pod).account, pod.end and pod.end.exit_code) == (Account.FATAL, 2)
        pod = read("Succeeded", *others, ended(0, "Completed", REPORT), **beside)
        assert pod.end
        assert pod.end.report
        assert pod.end.report.model


def test_a_trainer_that_is_done_is_done_whatever_becomes_of_a_sidecar() -> None:
    pod = read("Failed", ended(143, name="proxy"), ended(0, "Completed", REPORT))
    assert pod.phase == "Succeeded"
    assert fault_of(pod, None, timedelta(seconds=30), NOW) is None


def test_an_init_container_counts_where_the_trainer_never_ran() -> None:
    waits = container({"waiting": {"reason": "PodInitializing"}})
    pod = read("Failed", waits, before=(ended(0, name="first"), ended(1, message="no torch", name="trainyard")))
    assert fault(pod).message == "digits-0 on node-a: it ended with exit code 1: no torch"


MACHINES: dict[str, Pod] = {
    "a device that was taken meanwhile": read("Failed", reason="OutOfnvidia.com/gpu", message="Requested: 1, used: 8"),
    "no room on the disk": read("Failed", reason="OutOfephemeral-storage"),
    "no aligned devices": read("Failed", reason="TopologyAffinityError"),
    "no word at all": read("Failed"),
    "a kubelet that began anew": read("Failed", ended(137, "ContainerStatusUnknown")),
    "a runtime that began anew": read("Failed", ended(255, "Unknown")),
    "taken out while it ran": read("Failed", ended(137), reason="OutOfnvidia.com/gpu"),
}


@pytest.mark.parametrize("pod", MACHINES.values(), ids=MACHINES.keys())
def test_what_the_machine_does_is_not_charged_to_the_program(pod: Pod) -> None:
    found = fault(pod)
    assert found.account == Account.INFRASTRUCTURE
    assert found.cause.isalpha()


def test_a_pods_own_deadline_is_final_though_its_container_never_ran() -> None:
    assert fault(read("Failed", reason="DeadlineExceeded")).account == Account.FATAL


@pytest.mark.parametrize("reason", ["StartError", "ContainerCannotRun", "Error"])
def test_a_program_that_cannot_be_started_is_the_users(reason: str) -> None:
    assert fault(read("Failed", ended(128, reason))).account == Account.USER


@pytest.mark.parametrize("name", ["digits-evil", "digits-00", "digits-+1", "digits-²", "digits-", "other-0", "0", "-0"])
def test_a_pod_of_another_name_is_none_of_the_jobs(name: str) -> None:
    assert pod_index("digits", name) is None
    cluster = Cluster()
    cluster.put(PODS, forged(cluster, name))
    assert not cluster.observe().pods


def test_which_pod_it_is_is_told_by_its_name_whatever_its_label_says() -> None:
    cluster = Cluster()
    cluster.put(PODS, forged(cluster, "digits-1"))
    assert list(cluster.observe().pods) == [1]


def forged(cluster: Cluster, name: str) -> Object:
    """A pod that claims to be the job's node 0, and done."""
    labels = {"trainyard.dev/job": "digits", "trainyard.dev/index": "0"}
    metadata = {"name": name, "labels": labels, "ownerReferences": [owner(cluster.job)]}
    return {"metadata": metadata, "status": {"phase": "Succeeded", "containerStatuses": [ended(0, "Completed")]}}
