"""What to do next, by the reason in a job's status. docs/troubleshoot.md has a section for each."""

NEXT_STEPS: dict[str, str] = {
    "Queued": "wait: the operator takes it up in turn; if it stays so, see the operator's log",
    "WaitingForQuota": "wait until the queue admits it: kubectl get workloads, kubectl get clusterqueues",
    "QuotaExceeded": "free some of the namespace's quota (kubectl describe quota), or lower spec.template.resources",
    "Unschedulable": "ask for less (spec.template.resources, nodes), loosen nodeSelector or tolerations, or add nodes",
    "ImagePull": "correct spec.template.image, or name a pull secret in spec.template.imagePullSecrets",
    "MissingConfig": "create the secret, config map or volume that the message names; the job then goes on by itself",
    "Forbidden": "give the operator or the service account the right that the message names",
    "NameTaken": "rename the job, or delete the object that the message names: it isn't this job's",
    "RuntimeMissing": "create the TrainingRuntime, or correct spec.runtime: kubectl get trainingruntimes",
    "InvalidSpec": "correct what the message names: `trainyard validate FILE` finds every problem at once",
    "StorageMissing": "set spec.storage.uri to s3://bucket/prefix, here or in the TrainingRuntime",
    "Starting": "wait: images are pulled and containers started; the events below tell how far",
    "WaitingForNodes": "wait for the node that the message names; its pod's state and events are above",
    "Running": "follow it: {logs} -f",
    "Restarting": "nothing: it goes on from its newest checkpoint; {logs} tells what happened",
    "Hung": "see where each rank stood, in the log: {logs}",
    "OutOfMemory": "lower the batch size, or raise spec.template.resources.limits.memory",
    "UserError": "mend the program: the exception is above, what led to it in {logs}",
    "StorageDenied": "correct the keys in the secret of spec.storage.credentialsSecret, or what they may do",
    "DeadlineExceeded": "raise spec.activeDeadlineSeconds and submit it anew: it goes on from its newest checkpoint",
    "NodeLost": "nothing: the pod is made anew on another node; kubectl get nodes shows what became of the lost one",
    "Preempted": "nothing: it goes on when there is room again; a higher spec.template.priorityClassName prevents it",
    "PodDeleted": "nothing: the pod is made anew, and the job goes on from its newest checkpoint",
    "Suspended": "go on with: {resume}",
    "Completed": "ask the model: trainyard predict {model}",
}


def next_step(reason: str, phase: str, words: dict[str, str]) -> str:
    """What to do about `reason`; for a cause that the program's launcher named: by the phase."""
    text = NEXT_STEPS.get(reason)
    if text is None:
        text = "mend what the message names, then submit it anew; more in {logs}" if phase == "Failed" else "{status}"
    return text.format_map(words)
