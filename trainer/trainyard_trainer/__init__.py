"""Training: data, preparation, models, the loop, checkpoints, evaluation, export, the report, and the SDK.

    from trainyard_trainer import current_job

is all that a program of one's own needs. Importing this package imports nothing heavy.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainyard_trainer.sdk import Job


def current_job() -> "Job":
    """The job this process is a rank of; outside a launcher, a job of one rank with local defaults."""
    from trainyard_trainer.sdk import current_job as current

    return current()


__all__ = ["current_job"]
