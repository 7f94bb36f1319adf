"""The learning rate as a pure function of the step."""

import math
from collections.abc import Callable

from trainyard_api.recipe import Schedule

LearningRate = Callable[[int], float]


def learning_rate(schedule: Schedule, peak: float, *, steps: int, steps_per_epoch: int) -> LearningRate:
    """The rate of optimiser step 0, 1, ..., `steps` - 1.

    The warm-up's step s of n takes (s + 1) / n of `peak`. The cosine (SGDR, Loshchilov and Hutter 2017, one cycle)
    starts behind the warm-up and reaches `min_learning_rate` at the end of training.
    """

    def rate(step: int) -> float:
        if step < schedule.warmup_steps:
            return peak * (step + 1) / schedule.warmup_steps
        if schedule.type == "step":
            return peak * schedule.gamma ** (step // (steps_per_epoch * schedule.step_epochs))
        if schedule.type == "cosine":
            done = (step - schedule.warmup_steps) / max(1, steps - schedule.warmup_steps)
            low = schedule.min_learning_rate
            return low + (peak - low) * (1 + math.cos(math.pi * min(1.0, done))) / 2
        return peak

    return rate
