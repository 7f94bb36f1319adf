"""How good a model is: metrics that are exact at any number of ranks, and whether training went on for too long."""

from trainyard_trainer.evaluate.evaluator import Evaluator
from trainyard_trainer.evaluate.names import check_metrics, metrics_for
from trainyard_trainer.evaluate.overfitting import overfitting

__all__ = ["Evaluator", "check_metrics", "metrics_for", "overfitting"]
