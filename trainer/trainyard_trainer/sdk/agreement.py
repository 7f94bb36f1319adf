"""What all ranks see alike: rank 0's values, and flags that nobody waits for."""

from typing import Any

import torch
import torch.distributed as dist


def broadcast(value: Any) -> Any:
    """Rank 0's `value`, on every rank that has joined."""
    if not dist.is_initialized():
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


class Agreement:
    """Ranks say yes or no at every step; each learns one step later whether any of them said yes.

    One step late, the reduction is done by the time somebody asks for it: no rank waits, and all act at the same step.
    """

    def __init__(self) -> None:
        self._group: dist.ProcessGroup | None = None
        self._pending: tuple[dist.Work, torch.Tensor] | None = None

    def over_ranks(self, flags: list[bool]) -> list[bool]:
        """For each flag, whether any rank's was set at the previous call; at once where there is one rank."""
        if not dist.is_initialized() or dist.get_world_size() == 1:
            return flags
        if self._group is None:  # on the host, also where gradients go by nccl: a device would have to be waited for
            self._group = dist.new_group(backend="gloo")
        previous = self._pending
        said = torch.tensor(flags, dtype=torch.uint8)
        work = dist.all_reduce(said, op=dist.ReduceOp.MAX, group=self._group, async_op=True)
        assert work is not None
        self._pending = (work, said)
        if previous is None:
            return [False] * len(flags)
        previous[0].wait()
        return [bool(flag) for flag in previous[1].tolist()]
