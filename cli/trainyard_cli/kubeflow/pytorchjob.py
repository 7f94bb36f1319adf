"""PyTorchJob (kubeflow.org/v1)."""

from trainyard_cli.kubeflow.converted import Converted, Values
from trainyard_cli.kubeflow.pods import take_pod
from trainyard_cli.kubeflow.program import take_processes, take_program

_RUN_POLICY = {  # of the same meaning
    "activeDeadlineSeconds": "activeDeadlineSeconds",
    "ttlSecondsAfterFinished": "ttlSecondsAfterFinished",
    "suspend": "suspend",
}


def convert(document: Values) -> Converted:
    """The job as a TrainingJob with a program of its own."""
    converted = Converted()
    converted.take_metadata(document.get("metadata") or {})
    spec = dict(document.get("spec") or {})
    replicas = spec.pop("pytorchReplicaSpecs", None) or {}
    groups = {name: dict(replicas[name] or {}) for name in ("Master", "Worker") if name in replicas}
    nodes = {name: int(group.get("replicas", 1)) for name, group in groups.items()}
    converted.spec["nodes"] = max(1, sum(nodes.values()))
    first = next(iter(groups), "Master")
    template = groups.get(first, {}).get("template") or {}
    command = take_pod(converted, template, "pytorch", f"{first}.template")
    take_program(converted, command, f"{first}.template command")
    _compare(converted, groups)
    if processes := spec.pop("nprocPerNode", None):
        take_processes(converted, processes)
    _take_run_policy(converted, dict(spec.pop("runPolicy", None) or {}))
    _take_restart_policy(converted, groups)
    if elastic := spec.pop("elasticPolicy", None):
        _take_elastic(converted, dict(elastic), nodes.get("Master", 0))
    converted.left_over("spec", spec)
    return converted


def _compare(converted: Converted, groups: dict[str, Values]) -> None:
    """Pods of a TrainingJob are all alike."""
    if len(groups) == 2 and groups["Master"].get("template") != groups["Worker"].get("template"):
        converted.note("the template of Worker differs and is left out: all pods are made like Master's; compare them")


def _take_run_policy(converted: Converted, policy: Values) -> None:
    for name, ours in _RUN_POLICY.items():
        if name in policy and (value := policy.pop(name)) is not None:
            converted.spec[ours] = value
    if (limit := policy.pop("backoffLimit", None)) is not None:
        converted.spec.setdefault("recovery", {"maxRestarts": limit})
    if policy.pop("cleanPodPolicy", "Running") == "All":
        converted.note("cleanPodPolicy All: ended pods stay for their logs; spec.ttlSecondsAfterFinished removes them")
    if scheduling := dict(policy.pop("schedulingPolicy", None) or {}):
        template = converted.spec["template"]
        if priority := scheduling.pop("priorityClass", None):
            template.setdefault("priorityClassName", priority)
        scheduling.pop("minAvailable", None)
        gang = "volcano" if template.get("schedulerName") == "volcano" else "coscheduling"
        template["gang"] = gang
        converted.note(
            f"schedulingPolicy: spec.template.gang is {gang}: all nodes start together; is it your scheduler?"
        )
        converted.left_over("runPolicy.schedulingPolicy", scheduling)
    converted.left_over("runPolicy", policy)


def _take_restart_policy(converted: Converted, groups: dict[str, Values]) -> None:
    policies = {group.get("restartPolicy") for group in groups.values()}
    if policies == {"Never"}:
        converted.spec.setdefault("recovery", {"maxRestarts": 0})
    if "ExitCode" in policies:
        converted.note(
            "restartPolicy ExitCode: a fault of the machines restarts without limit, one of the program "
            "spec.recovery.maxRestarts times, wrong input never"
        )


def _take_elastic(converted: Converted, policy: Values, masters: int) -> None:
    low, high = policy.pop("minReplicas", None), policy.pop("maxReplicas", None)
    if low is not None or high is not None:
        nodes = converted.spec["nodes"]
        bounds = {"minNodes": (low or 1) + masters, "maxNodes": (high or nodes - masters) + masters}
        converted.spec["elastic"] = bounds
        converted.spec["nodes"] = min(max(nodes, bounds["minNodes"]), bounds["maxNodes"])
    if (restarts := policy.pop("maxRestarts", None)) is not None:
        converted.spec["recovery"] = {"maxRestarts": restarts}
    if processes := policy.pop("nProcPerNode", None):
        take_processes(converted, processes)
    if policy.pop("metrics", None):
        converted.note("elasticPolicy.metrics: no autoscaler is made; one of your own can scale the TrainingJob")
    for name in [name for name in policy if name.startswith("rdzv") or name == "standalone"]:
        del policy[name]  # the launcher's to say
    converted.left_over("elasticPolicy", policy)
