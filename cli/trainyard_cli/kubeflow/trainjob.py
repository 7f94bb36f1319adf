"""TrainJob (trainer.kubeflow.org/v1alpha1)."""

from collections.abc import Iterator

from trainyard_cli.kubeflow.converted import Converted, Values
from trainyard_cli.kubeflow.pods import merge, take_pod, take_resources
from trainyard_cli.kubeflow.program import take_processes, take_program

_SAME = ("suspend", "activeDeadlineSeconds", "ttlSecondsAfterFinished")
_NODE = ("node", "trainer")  # the replicated job with the training


def convert(document: Values) -> Converted:
    """The job as a TrainingJob with a program of its own."""
    converted = Converted()
    converted.take_metadata(document.get("metadata") or {})
    spec = dict(document.get("spec") or {})
    trainer = dict(spec.pop("trainer", None) or {})
    _note_runtime(converted, spec.pop("runtimeRef", None) or {})
    converted.spec["nodes"] = trainer.pop("numNodes", None) or 1
    for name in ("image", "env"):
        if value := trainer.pop(name, None):
            converted.spec.setdefault("template", {})[name] = value
    for values in (trainer, spec):  # published examples write what belongs beside the trainer inside it, and back
        _take_pods(converted, values)
    command = [*(trainer.pop("command", None) or []), *(trainer.pop("args", None) or [])]
    take_program(converted, command, "trainer.command")
    if processes := trainer.pop("numProcPerNode", None):
        take_processes(converted, processes)
    for name in _SAME:
        if (value := spec.pop(name, None)) is not None:
            converted.spec[name] = value
    converted.left_over("trainer", trainer)
    converted.left_over("spec", spec)
    return converted


def _take_pods(converted: Converted, values: Values) -> None:
    """What is said about the pods, and what would have run before them."""
    template = converted.spec.setdefault("template", {})
    take_resources(converted, values.pop("resourcesPerNode", None) or {})
    _take_overrides(converted, values)
    _note_initializer(converted, values.pop("initializer", None) or {})
    for name in ("labels", "annotations"):
        if given := values.pop(name, None):
            merge(template, {name: given})
    _take_gang(converted, values.pop("podGroupPolicy", None) or {})


def _note_runtime(converted: Converted, ref: Values) -> None:
    name = ref.get("name", "")
    if name:
        converted.note(
            f"runtimeRef {name}: what that runtime presets isn't in this file: make a TrainingRuntime of it and name "
            "it in spec.runtime, or write image and resources here"
        )
    if name and not name.startswith("torch"):
        converted.note(f"runtimeRef {name}: programs run under torchrun; one for MPI or JAX has to be changed")


def _take_gang(converted: Converted, policy: Values) -> None:
    for name in policy:
        if name in ("volcano", "coscheduling"):
            converted.spec["template"]["gang"] = name
        else:
            converted.note(f"podGroupPolicy.{name} is left out: spec.template.gang knows volcano and coscheduling")


def _note_initializer(converted: Converted, initializer: Values) -> None:
    for part in initializer:
        uri = (initializer[part] or {}).get("storageUri", "")
        converted.note(
            f"initializer.{part} ({uri}) is left out: nothing is downloaded beforehand; the program reads its data as "
            "a stream (docs/script.md: spec.script.data), or fetches what it needs itself"
        )


def _take_overrides(converted: Converted, values: Values) -> None:
    """podTemplateOverrides of older versions, podSpecOverrides of the first, runtimePatches of newer ones."""
    for name in ("podTemplateOverrides", "podSpecOverrides"):
        for override in values.pop(name, None) or []:
            targets = [target.get("name") for target in override.get("targetJobs") or []]
            pod = override if name == "podTemplateOverrides" else {"spec": _without(override, "targetJobs")}
            _take_override(converted, targets, pod, name)
    for patch in values.pop("runtimePatches", None) or []:
        for target, pod in _patched(patch):
            _take_override(converted, [target], pod, f"runtimePatches of {patch.get('manager')}")


def _take_override(converted: Converted, targets: list[str], pod: Values, where: str) -> None:
    if targets and not set(targets) & set(_NODE):
        converted.note(f"{where} for {', '.join(map(str, targets))} is left out: a TrainingJob has the training's pods")
        return
    if take_pod(converted, _without(pod, "targetJobs"), "node", where):
        converted.note(f"{where}: its command is left out")


def _patched(patch: Values) -> Iterator[tuple[str, Values]]:
    """(replicated job, pod template) of each patch, and what is for all of them."""
    template = ((patch.get("trainingRuntimeSpec") or {}).get("template")) or {}
    if metadata := template.get("metadata"):
        yield "node", {"metadata": metadata}
    for job in (template.get("spec") or {}).get("replicatedJobs") or []:
        outer = job.get("template") or {}
        pod = (outer.get("spec") or {}).get("template") or {}
        yield (
            job.get("name", ""),
            {"metadata": {**(outer.get("metadata") or {}), **(pod.get("metadata") or {})}, **_without(pod, "metadata")},
        )


def _without(values: Values, name: str) -> Values:
    return {key: value for key, value in values.items() if key != name}
