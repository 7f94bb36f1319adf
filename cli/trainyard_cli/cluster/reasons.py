"""What to do next, by the reason in a job's status. docs/troubleshoot.md has a section for each."""

NEXT_STEPS: dict[str, str] = {
    "Queued": "wait: the operator takes it up in turn; if it stays so, see the operator's log",
    "WaitingForQuota": "wait until the queue admits it: kubectl get workloads, kubectl get clusterqueues",
    "QuotaExceeded": "see in the message what is too much or not said: free quota, or change spec.template.resources",
    "Unschedulable": "ask for less (spec.template.resources, nodes), loosen nodeSelector or tolerations, or add nodes",
    "ImagePull": "correct spec.template.image, or name a pull secret in spec.template.imagePullSecrets",
    "MissingConfig": "create the secret, config map or volume that the message names; the job then goes on by itself",
    "Forbidden": "give the operator or the service account the right that the message names",
    "Rejected": "correct what the message names in spec.template, then {again}",
    "NamespaceTerminating": "nothing can be done in a namespace that is being deleted: choose another",
    "ContainerError": "see the events above: the node can't start the container; {again}, if it's the spec's fault",
    "NameTaken": "rename the job, or delete the object that the message names: it isn't this job's",
    "RuntimeMissing": "create the TrainingRuntime, or correct spec.runtime: kubectl get trainingruntimes",
    "InvalidSpec": "correct what the message names: `trainyard validate FILE` finds every problem at once",
    "StorageMissing": "set spec.storage.uri to s3://bucket/prefix, here or in the TrainingRuntime",
    "Starting": "wait: images are pulled and containers started; the events below tell how far",
    "WaitingForNodes": "wait for the node that the message names; its pod's state and events are above",
    "Running": "follow it: {follow}",
    "Restarting": "nothing: it goes on from its newest checkpoint; {logs} tells what happened",
    "Hung": "see where each rank stood, in the log: {logs}",
    "OutOfMemory": "lower the batch size or raise spec.template.resources.limits.memory, then {again}",
    "UserError": "mend the program ({logs} has the traceback), then {again}",
    "StorageDenied": "correct the keys in the secret of spec.storage, or what they may do, then {again}",
    "DeadlineExceeded": "raise spec.activeDeadlineSeconds, then {again}: it goes on from its checkpoint",
    "NodeLost": "nothing: the pod is made anew on another node; kubectl get nodes shows what became of the lost one",
    "Preempted": "nothing: it goes on when there is room again; a higher spec.template.priorityClassName prevents it",
    "Evicted": "nothing: the pod is made anew; a higher memory or disk request makes evictions rarer",
    "NodeShutdown": "nothing: the pod is made anew on another node",
    "Terminated": "nothing: the pod is made anew; it was told to stop by something else than this operator",
    "Killed": "see whether memory ran out (kubectl describe node), and what the program did last: {logs}",
    "PeerLost": "nothing while it restarts; if it has failed, see to the network between its nodes, then {again}",
    "PodDeleted": "nothing: the pod is made anew, and the job goes on from its newest checkpoint",
    "Suspending": "wait: the nodes write a checkpoint and stop",
    "Suspended": "go on with: {resume}",
    "Completed": "ask the model: trainyard predict {model}",
}


def next_step(reason: str, phase: str, words: dict[str, str]) -> str:
    """What to do about `reason`; for a cause that the program's launcher named: by the phase."""
    text = NEXT_STEPS.get(reason)
    if text is None:
        failed = "mend what the message names, then {again}; more in {logs}"
        text = failed if phase == "Failed" else "see {logs}"
    return text.format_map(words)
