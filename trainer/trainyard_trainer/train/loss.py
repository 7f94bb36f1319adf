"""What is minimised."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from trainyard_api.documents import Task

LossSum = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def loss_sum(task: Task) -> LossSum:
    """The sum over samples of weight x loss, a scalar in float32, from outputs, labels [N] and weights [N] or None.

    Classification: cross-entropy (natural logarithm) of logits [N, classes]; regression: squared error of [N, 1] on the
    scaled target. None: every weight is 1, which spares three kernels.
    """
    return _squared_error if task == "regression" else _cross_entropy


def _cross_entropy(logits: Tensor, labels: Tensor, weight: Tensor | None) -> Tensor:
    if weight is None:
        return functional.cross_entropy(logits.float(), labels, reduction="sum")
    return functional.cross_entropy(logits.float(), labels, reduction="none").dot(weight)


def _squared_error(outputs: Tensor, labels: Tensor, weight: Tensor | None) -> Tensor:
    outputs = outputs.float().squeeze(1)
    if weight is None:
        return functional.mse_loss(outputs, labels, reduction="sum")
    return functional.mse_loss(outputs, labels, reduction="none").dot(weight)
