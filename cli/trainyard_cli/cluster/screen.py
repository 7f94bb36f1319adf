"""The screen of `trainyard status`, from a job, its pods and their events."""

from collections.abc import Iterator

from pydantic import ValidationError

from trainyard_api.status import Progress
from trainyard_cli.cluster.connection import Object
from trainyard_cli.cluster.events import event_time
from trainyard_cli.cluster.jobs import ATTEMPT_LABEL, CONTAINER, index_of, phase_of, status_of
from trainyard_cli.cluster.pods import state_of
from trainyard_cli.cluster.reasons import next_step
from trainyard_cli.cluster.text import bar, columns, since, span
from trainyard_cli.progress import numbers

_LABEL = 12
_STAGES = {"prepare": "preparing data", "train": "training", "publish": "publishing the model"}


def screen(job: Object, pods: list[Object], events: list[Object], words: dict[str, str]) -> str:
    """All of it. `words`: commands that a next step may name."""
    metadata, status = job["metadata"], status_of(job)
    lines = [f"{metadata['namespace']}/{metadata['name']}: {_headline(job)}", *_facts(job)]
    text = "".join(f"{line}\n" for line in lines)
    if pods:
        text += "\n" + columns([["NODE", "POD", "STATE", "MACHINE", "RESTARTS", "AGE"], *map(_pod, pods)])
    if events:
        text += "\nEvents\n" + columns([_event(event) for event in events], indent="  ")
    words = {**words, "model": str((status.get("model") or {}).get("uri") or "MODEL")}
    step = next_step(str(status.get("reason") or "Queued"), phase_of(job), words)
    return f"{text}\nNext: {step}\n"


def _headline(job: Object) -> str:
    status = status_of(job)
    phase = phase_of(job)
    reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
    said = phase + (f" ({reason})" if reason not in ("", phase) else "")
    if not status:
        message = (
            "the operator hasn't seen it yet; is one running? kubectl get pods -A -l app.kubernetes.io/name=trainyard"
        )
    elif status.get("observedGeneration") != job["metadata"].get("generation"):
        message = f"{message} (a change of the spec hasn't been taken up yet)".strip()
    return f"{said}: {message}" if message else said


def _facts(job: Object) -> Iterator[str]:
    """One line for each thing that is known."""
    status, spec = status_of(job), job.get("spec") or {}
    if progress := _progress(status):
        stage = _STAGES[progress.stage]
        if progress.stage == "train" and progress.steps:
            yield _fact("Progress", f"{bar(progress.step, progress.steps)}  {numbers(progress)}")
        else:
            yield _fact("Progress", f"{stage}  {numbers(progress)}" if progress.step else stage)
    wanted = int(spec.get("nodes") or 1)
    elastic = spec.get("elastic")
    bounds = f", elastic from {elastic.get('minNodes', 1)} to {elastic['maxNodes']}" if elastic else ""
    yield _fact("Nodes", f"{status.get('nodesReady') or 0} of {wanted} ready{bounds}")
    yield _fact("Restarts", _restarts(job))
    if checkpoint := status.get("checkpoint"):
        yield _fact("Checkpoint", f"step {checkpoint['step']}, {since(checkpoint['time'])} ago, {checkpoint['uri']}")
    if model := status.get("model"):
        yield _fact("Model", str(model["uri"]))
        metrics = "  ".join(f"{name} {value:.4g}" for name, value in (model.get("metrics") or {}).items())
        if metrics:
            yield _fact("", f"on the test split: {metrics}")
    if runtime := status.get("runtime"):
        yield _fact("Runtime", str(runtime))
    yield _fact("Age", _age(job))


def _fact(label: str, text: str) -> str:
    return f"  {label:{_LABEL}}{text}"


def _progress(status: Object) -> Progress | None:
    """Known fields only: a newer operator may tell more."""
    known = {str(field.alias) for field in Progress.model_fields.values()}
    try:
        given = {name: value for name, value in (status.get("progress") or {}).items() if name in known}
        return Progress.model_validate(given) if given else None
    except ValidationError:
        return None


def _restarts(job: Object) -> str:
    restarts = status_of(job).get("restarts") or {}
    most = ((job.get("spec") or {}).get("recovery") or {}).get("maxRestarts", 3)
    said = (
        f"{restarts.get('user') or 0} of {most} by the program, {restarts.get('infrastructure') or 0} by the machines"
    )
    if restarts.get("lastCause"):
        said += f"; the last {since(restarts.get('lastTime'))} ago: {restarts['lastCause']}"
    return said


def _age(job: Object) -> str:
    status = status_of(job)
    said = f"created {since(job['metadata'].get('creationTimestamp'))} ago"
    if status.get("completionTime"):
        return (
            f"{said}, ended {since(status['completionTime'])} ago, ran {span(int(status.get('runningSeconds') or 0))}"
        )
    return said + (f", first started {since(status['startTime'])} ago" if status.get("startTime") else "")


def _pod(pod: Object) -> list[str]:
    attempt = str((pod["metadata"].get("labels") or {}).get(ATTEMPT_LABEL, ""))
    return [
        str(index_of(pod)),
        pod["metadata"]["name"],
        state_of(pod, CONTAINER),
        str((pod.get("spec") or {}).get("nodeName") or "-"),
        attempt or "-",
        since(pod["metadata"].get("creationTimestamp")),
    ]


def _event(event: Object) -> list[str]:
    count = int((event.get("series") or {}).get("count") or event.get("count") or 1)
    message = " ".join(str(event.get("message") or "").split())
    return [
        f"{since(event_time(event))} ago",
        str(event.get("type") or ""),
        str(event.get("reason") or ""),
        event["involvedObject"]["name"],
        f"{message} (x{count})" if count > 1 else message,
    ]
