"""The processes that train together: who this one is, and what they say to each other."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from trainyard_trainer.models import TensorScale


@dataclass(frozen=True)
class Ranks:
    """This process among `world` processes. With one of them nothing is sent anywhere."""

    rank: int
    world: int
    device: torch.device

    def total(self, values: list[float]) -> list[float]:
        """Sum of `values` over all ranks, the same on each of them."""
        if self.world == 1:
            return values
        vector = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(vector)
        return vector.tolist()

    def smallest(self, value: int) -> int:
        """The smallest `value` over all ranks."""
        if self.world == 1:
            return value
        vector = torch.tensor([value], device=self.device)
        dist.all_reduce(vector, op=dist.ReduceOp.MIN)
        return int(vector.item())

    def broadcast(self, value: Any) -> Any:
        """Rank 0's `value`, on every rank."""
        if self.world == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]

    def share_buffers(self, network: nn.Module) -> None:
        """Give every rank the buffers of rank 0: the running statistics of batch normalisation."""
        if self.world > 1:
            for buffer in network.buffers():
                dist.broadcast(buffer, src=0)

    def parallel(self, network: nn.Module, *, unused_parameters: bool) -> nn.Module:
        """`network` such that a backward pass leaves the mean gradient over ranks.

        Batch normalisation doesn't read its running statistics in training, so they needn't be sent before every step,
        as DDP would: `share_buffers` before a validation or checkpoint gives the same. Other buffers may be read.
        """
        if self.world == 1:
            return network
        return DistributedDataParallel(
            network,
            device_ids=[self.device] if self.device.type == "cuda" else None,
            forward_sync_buffers=_reads_buffers(network),
            find_unused_parameters=unused_parameters,
            gradient_as_bucket_view=True,
        )


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """Join the processes that torchrun started (RANK, WORLD_SIZE, LOCAL_RANK): nccl on GPUs, gloo on CPUs.

    A process that fails doesn't say good-bye: its peers notice the closed connection.
    """
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if torch.cuda.is_available():
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
    else:
        device = torch.device("cpu")
    if world > 1:
        arguments: dict[str, Any] = {"device_id": device} if device.type == "cuda" else {}
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", rank=rank, world_size=world, **arguments)
    yield Ranks(rank, world, device)
    if world > 1:
        dist.destroy_process_group()


def _reads_buffers(network: nn.Module) -> bool:
    """Whether any module but batch normalisation and our own scaling has buffers."""
    return any(
        next(module.buffers(recurse=False), None) is not None and not isinstance(module, _BatchNorm | TensorScale)
        for module in network.modules()
    )
