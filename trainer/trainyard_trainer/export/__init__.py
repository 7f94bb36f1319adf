"""A trained network made into a model that takes raw columns, in every form asked for, and published."""

from trainyard_trainer.export.plain import export_network
from trainyard_trainer.export.program import load_network, load_program

__all__ = ["export_network", "load_network", "load_program"]
