"""Preparation: raw samples to shards that a network reads, with a plan that says how."""

from trainyard_trainer.prepare.stage import committed, prepare, run_prepare
from trainyard_trainer.prepare.task import decide_task

__all__ = ["committed", "decide_task", "prepare", "run_prepare"]
