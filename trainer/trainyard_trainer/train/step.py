"""One optimiser step: forward, backward, clip, update."""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from trainyard_api.documents import Task
from trainyard_api.recipe import Train
from trainyard_trainer.data import Batch
from trainyard_trainer.train.loss import loss_sum
from trainyard_trainer.train.ranks import Ranks

_PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(settings: Train, device: torch.device) -> AbstractContextManager[object]:
    """In which the network computes in the precision asked for."""
    precision = _PRECISIONS.get(settings.precision)
    return contextlib.nullcontext() if precision is None else torch.autocast(device.type, dtype=precision)


class TrainStep:
    """Calls of it train `model` (bare, or wrapped for its ranks) by one global batch each."""

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, settings: Train, task: Task, ranks: Ranks
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.scaler = torch.amp.GradScaler(ranks.device.type, enabled=settings.precision == "fp16")
        self.gradient_norm: Tensor | None = None
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._scaled = settings.precision == "fp16"
        self._settings = settings
        self._loss_sum = loss_sum(task)
        self._ranks = ranks

    def __call__(self, batch: Batch, rate: float) -> Tensor:
        """Train by this rank's slice of `batch` at learning rate `rate`.

        Returns the slice's sum of weight x loss (a scalar on the device, before the update), without waiting for it.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._backward(batch)
        self._clip()
        if self._scaled:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            self.optimizer.step()
        return loss

    def gradients(self, batch: Batch) -> None:
        """Forward and backward alone."""
        self._backward(batch)

    def norm(self) -> float:
        """Norm of the last step's gradient over all parameters, before clipping."""
        if self.gradient_norm is None:
            gradients = [p.grad for p in self._parameters if p.grad is not None]
            return float(torch.nn.utils.get_total_norm(gradients))
        return float(self.gradient_norm)

    def _backward(self, batch: Batch) -> Tensor:
        """Leave in every rank the gradient of the global batch's mean loss, whatever the number of ranks and parts.

        DDP averages over ranks, so each rank's sum counts W / (samples in the global batch).
        """
        factor = self._ranks.world / max(1.0, batch.global_weight)
        total: Tensor | None = None
        for features, labels, weight, last in self._parts(batch):
            with contextlib.nullcontext() if last else self._unsynchronised():
                with self._autocast():
                    logits = self.model(features)
                loss = self._loss_sum(logits, labels, weight)
                scaled = loss * factor
                (self.scaler.scale(scaled) if self._scaled else scaled).backward()  # type: ignore[no-untyped-call]
            total = loss.detach() if total is None else total + loss.detach()
        assert total is not None
        return total

    def _parts(self, batch: Batch) -> Iterator[tuple[Tensor, Tensor, Tensor | None, bool]]:
        """Features, labels, weights, and whether it's the last, of each of `accumulation_steps` parts."""
        features, labels, weight = to_device(batch, self._ranks.device)
        count = min(self._settings.accumulation_steps, len(labels))
        if count == 1:
            yield features, labels, weight, True
            return
        weights = [None] * count if weight is None else weight.tensor_split(count)
        parts = zip(features.tensor_split(count), labels.tensor_split(count), weights, strict=True)
        for index, (part, part_labels, part_weight) in enumerate(parts):
            yield part, part_labels, part_weight, index == count - 1

    def _clip(self) -> None:
        limit = self._settings.gradient_clip_norm
        if self._scaled:
            self.scaler.unscale_(self.optimizer)
        if limit is not None:
            self.gradient_norm = torch.nn.utils.clip_grad_norm_(self._parameters, limit)

    def _autocast(self) -> AbstractContextManager[object]:
        return autocast(self._settings, self._ranks.device)

    def _unsynchronised(self) -> AbstractContextManager[object]:
        return self.model.no_sync() if isinstance(self.model, DistributedDataParallel) else contextlib.nullcontext()


def to_device(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor, Tensor | None]:
    """Features, labels and weights on `device`; weights None if all are 1."""
    arrays = [batch.fields["features"], batch.fields["label"]]
    if not batch.weight.all():
        arrays.append(batch.weight)
    tensors = [torch.from_numpy(array) for array in arrays]
    if device.type == "cuda":
        tensors = [tensor.pin_memory().to(device, non_blocking=True) for tensor in tensors]
    return tensors[0], tensors[1], tensors[2] if len(tensors) == 3 else None
