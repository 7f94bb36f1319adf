"""Jobs and their pods, as the commands read them."""

from trainyard_api.errors import TrainyardError
from trainyard_api.problems import nearest
from trainyard_cli.cluster import connection
from trainyard_cli.cluster.connection import Cluster, Object
from trainyard_cli.cluster.refusals import Refused

JOB_LABEL, INDEX_LABEL, ATTEMPT_LABEL = "trainyard.dev/job", "trainyard.dev/index", "trainyard.dev/attempt"
CONTAINER = "trainer"
FINISHED = ("Complete", "Failed")
_GUESSED_FROM = 500  # names that are looked through for one like a misspelt one


def find_job(cluster: Cluster, name: str) -> Object:
    """The TrainingJob `name`. :raises TrainyardError: there is none; it names one like it"""
    try:
        return cluster.get(connection.jobs(cluster.namespace, name))
    except Refused as refused:
        if refused.status != 404 or refused.no_such_api:
            raise
        raise _no_such_job(cluster, name) from refused


def _no_such_job(cluster: Cluster, name: str) -> TrainyardError:
    listed = cluster.get(connection.jobs(cluster.namespace), limit=_GUESSED_FROM)
    guess = nearest(name, [item["metadata"]["name"] for item in listed.get("items") or []])
    remedy = f"did you mean {guess}?" if guess else "`trainyard list -A` shows the jobs of every namespace"
    where = f"namespace {cluster.namespace}, context {cluster.context}"
    return TrainyardError(f"there is no TrainingJob {name}", where, remedy, cause="NotFound")


def pods_of(cluster: Cluster, name: str) -> list[Object]:
    """The job's pods, by index."""
    listed = cluster.get(connection.core(cluster.namespace, "pods"), labelSelector=f"{JOB_LABEL}={name}")
    return sorted(listed.get("items") or [], key=index_of)


def index_of(pod: Object) -> int:
    """The pod's index in the job."""
    text = str((pod["metadata"].get("labels") or {}).get(INDEX_LABEL, "0"))
    return int(text) if text.isdecimal() else 0


def status_of(job: Object) -> Object:
    """The job's status; {} before the operator has seen it."""
    return job.get("status") or {}


def phase_of(job: Object) -> str:
    """The job's phase, in one word."""
    return str(status_of(job).get("phase") or "Pending")


def explanation(job: Object) -> str:
    """Phase, reason and message in one line."""
    status = status_of(job)
    reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
    said = phase_of(job)
    said += f", {reason}" if reason and reason != said else ""
    return f"{said}: {message}" if message else said


def several_nodes(job: Object) -> bool:
    """Whether the job may have more than one node."""
    spec = job.get("spec") or {}
    return int(spec.get("nodes") or 1) > 1 or int((spec.get("elastic") or {}).get("maxNodes") or 1) > 1
