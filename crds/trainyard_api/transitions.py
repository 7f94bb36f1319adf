"""What may change on a TrainingJob that exists: nodes within elastic bounds, suspend, deadline, TTL, recovery."""

from trainyard_api.base import Transition

_FIXED = ("runtime", "processesPerNode", "elastic", "template", "storage", "recipe", "script", "checkpoint")

JOB_TRANSITIONS = (
    *(
        Transition(
            f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})",
            f"spec.{field} can't change on a job that exists: delete it and apply it anew, or choose another name",
        )
        for field in _FIXED
    ),
    Transition(
        "self.nodes == oldSelf.nodes || has(self.elastic)",
        "spec.nodes can't change without spec.elastic: give it minNodes and maxNodes when you create the job",
    ),
)
