"""What a program of one's own needs to be a job: its data, checkpoints, log and export, in a few calls.

job = current_job()
checkpoints = job.checkpointer({"model": model, "optimizer": optimizer})
for step in range(checkpoints.load(), steps):
    ...
    checkpoints.step(step + 1)
    job.log(step + 1, loss=loss.item())
"""

from trainyard_trainer.sdk.checkpoints import Checkpoints
from trainyard_trainer.sdk.job import Job, current_job

__all__ = ["Checkpoints", "Job", "current_job"]
