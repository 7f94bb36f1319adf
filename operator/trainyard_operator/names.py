"""Names and labels of what belongs to a TrainingJob."""

from typing import Any, NamedTuple

from trainyard_api import API_VERSION

MANAGER = "trainyard-operator"  # of the fields we apply
NAME_LABEL = "app.kubernetes.io/name"
JOB_LABEL = "trainyard.dev/job"
INDEX_LABEL = "trainyard.dev/index"
ATTEMPT_LABEL = "trainyard.dev/attempt"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
SELECTOR = f"{NAME_LABEL}=trainyard-job"
CONTAINER = "trainer"
METRICS_PORT = 9464
REPORT_PORT = 9465


class Key(NamedTuple):
    """A TrainingJob by name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def pod_name(job: str, index: int) -> str:
    """Name and host name of the pod with this index."""
    return f"{job}-{index}"


def pod_index(job: str, name: str) -> int | None:
    """The index of the job's pod with this name; None if it is none of its names."""
    text = name.removeprefix(f"{job}-")
    index = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
    return index if index is not None and pod_name(job, index) == name else None


def group_name(job: str) -> str:
    """Name of the job's Service, ConfigMap and PodGroup: a Service's begins with a letter, a job's may not."""
    return f"tj-{job}"


def labels(job: str) -> dict[str, str]:
    """Labels of everything that belongs to the job."""
    return {"app.kubernetes.io/managed-by": "trainyard", NAME_LABEL: "trainyard-job", JOB_LABEL: job}


def owner(job: dict[str, Any]) -> dict[str, Any]:
    """The owner reference to `job`, by which the garbage collector cleans up."""
    metadata = job["metadata"]
    return {
        "apiVersion": API_VERSION,
        "kind": "TrainingJob",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": False,
    }


def owner_uid(child: dict[str, Any]) -> str | None:
    """UID of the controller that `child` belongs to."""
    references = child.get("metadata", {}).get("ownerReferences") or []
    return next((str(each["uid"]) for each in references if each.get("controller")), None)
