"""Reading prepared data: shards from object storage, in an order that resumes exactly at any world size."""

from trainyard_trainer.data.batch import Batch
from trainyard_trainer.data.quarantine import BadSample
from trainyard_trainer.data.reader import Decode, SplitReader

__all__ = ["BadSample", "Batch", "Decode", "SplitReader"]
