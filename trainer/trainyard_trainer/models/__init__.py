"""Networks: the ones that come with Trainyard, and the door for a user's own."""

from trainyard_trainer.models.network import Network, TensorScale, build_network
from trainyard_trainer.models.registry import register

__all__ = ["Network", "TensorScale", "build_network", "register"]
