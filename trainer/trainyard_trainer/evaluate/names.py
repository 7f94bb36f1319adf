"""Which metrics fit which task. No torch here, so that a manifest can be checked quickly."""

from collections.abc import Sequence
from typing import Literal

from trainyard_api.documents import Task
from trainyard_api.errors import TrainyardError

CLASSIFICATION = ("accuracy", "precision", "recall", "f1", "rocAuc", "logLoss", "confusionMatrix")
REGRESSION = ("mse", "mae", "r2")


def metrics_for(task: Task, wanted: Literal["auto"] | Sequence[str] = "auto") -> list[str]:
    """Names of the metrics to compute for `task`.

    :raises TrainyardError: a wanted metric says nothing about this task.
    """
    fitting = REGRESSION if task == "regression" else CLASSIFICATION
    if wanted == "auto":
        return list(fitting)
    check_metrics(wanted, task)
    return list(dict.fromkeys(wanted))


def check_metrics(wanted: Sequence[str], task: Task, where: str = "spec.recipe.evaluate.metrics") -> None:
    """Refuse metrics that don't fit the task, all in one message.

    :raises TrainyardError: which ones, and which would fit.
    """
    fitting = REGRESSION if task == "regression" else CLASSIFICATION
    wrong = [name for name in wanted if name not in fitting]
    if wrong:
        raise TrainyardError(
            f"{', '.join(wrong)}: not defined for {task}.",
            where=where,
            remedy=f"Choose from {', '.join(fitting)}, or auto.",
            cause="MetricUnfit",
        )
