"""What every rank holds a part of, put together. Without torch.distributed, one's own part is all there is."""

import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors


def total(part: Tensor) -> Tensor:
    """Sum of `part` over the ranks, the same on each of them; same shape and dtype."""
    if not dist.is_initialized():
        return part
    whole = part.clone()
    dist.all_reduce(whole)
    return whole


def together(part: Tensor) -> Tensor:
    """Rows of all ranks, one rank after another: [n_r, ...] on each -> [n_0 + n_1 + ..., ...]. n_r may be 0."""
    if not dist.is_initialized():
        return part
    return torch.cat(gather_all_tensors(part.contiguous()))
