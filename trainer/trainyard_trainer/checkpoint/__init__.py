"""Checkpoints: the state of training, saved without stopping it for long, and never loaded half-written.

In object storage a checkpoint is `step-00001200/<id>/part-0000 ... manifest.json, COMMITTED`, written in this order
under keys that are never written twice. Each of W ranks writes 1/W of the bytes.
"""

from trainyard_trainer.checkpoint.catalogue import Committed
from trainyard_trainer.checkpoint.checkpointer import Checkpointer, Loaded

__all__ = ["Checkpointer", "Committed", "Loaded"]
