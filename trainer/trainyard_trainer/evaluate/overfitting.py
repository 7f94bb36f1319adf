"""Whether training went on for too long: validation against training loss, and the epoch where they part."""

import math
from collections.abc import Sequence
from statistics import median
from typing import Any, Literal

Verdict = Literal["overfit", "underfit", "fine", "flat", "unknown"]

SHORTEST = 6  # epochs; fewer say nothing
AFTER = 3  # epochs past the minimum before a rise is believed
RISE = 0.02  # of the range that both losses cover: a smaller rise doesn't matter
FALL = 0.01  # the same, for the training loss
NOISE = 3.0  # deviations of the noise that a rise must exceed


def overfitting(history: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """State from history.jsonl whether the network was overfitted.

    They part at the minimum of the validation loss (smoothed by a running median of three) if, from there to the end,
    the training loss goes on falling and the validation loss rises by more than its noise and 2% of the losses' range.

    :param history: one dict per epoch with `epoch`, `train/loss` and, if there is a validation split,
        `validation/loss`
    :returns: verdict (overfit; underfit: both still falling; fine; flat: neither fell; unknown: too short or no
        validation), epoch where they part (None unless overfit), bestEpoch (smallest validation loss),
        validationLoss there, finalValidationLoss, finalTrainLoss, rise (final less smallest, smoothed), and
        sentence, which says it in plain words
    """
    both = [line for line in history if _is_number(line.get("train/loss")) and _is_number(line.get("validation/loss"))]
    if len(both) < SHORTEST:
        return _too_short(history, both)
    epochs = [int(line["epoch"]) for line in both]
    train = [float(line["train/loss"]) for line in both]
    validation = [float(line["validation/loss"]) for line in both]
    smooth_train, smooth = _smooth(train), _smooth(validation)
    low = min(range(len(smooth)), key=smooth.__getitem__)
    # The smoothed minimum is as low as its neighbours' median: the turn itself is the lowest of the three.
    turn = min(range(max(0, low - 1), min(len(validation), low + 2)), key=validation.__getitem__)
    rise = smooth[-1] - smooth[low]
    verdict = _verdict(smooth_train, smooth, low, _noise(validation))
    best = min(range(len(validation)), key=validation.__getitem__)
    return {
        "verdict": verdict,
        "epoch": epochs[turn] if verdict == "overfit" else None,
        "bestEpoch": epochs[best],
        "validationLoss": validation[best],
        "finalValidationLoss": validation[-1],
        "finalTrainLoss": train[-1],
        "rise": rise,
        "sentence": _sentence(verdict, epochs, train, validation, turn),
    }


def _verdict(train: list[float], validation: list[float], low: int, noise: float) -> Verdict:
    spread = max(max(train), max(validation)) - min(min(train), min(validation))
    last = len(train) - 1
    risen = validation[last] - validation[low] > max(RISE * spread, NOISE * noise)
    fell_on = train[low] - train[last] > FALL * spread
    if last - low >= AFTER and risen and fell_on:
        return "overfit"
    floor = max(FALL * spread, noise)
    if train[0] - min(train) <= floor and validation[0] - min(validation) <= floor:
        return "flat"
    before = last - max(AFTER, len(train) // 4)
    learning = train[before] - train[last] > 0.05 * (train[0] - train[last])
    improving = validation[before] - validation[last] > 0.05 * (validation[0] - validation[last])
    return "underfit" if learning and improving and low >= last - 1 else "fine"


def _sentence(verdict: Verdict, epochs: list[int], train: list[float], validation: list[float], turn: int) -> str:
    last = epochs[-1]
    if verdict == "overfit":
        return (
            f"Overfitted from epoch {epochs[turn]} on: until epoch {last} the training loss fell from "
            f"{train[turn]:.4g} to {train[-1]:.4g} while the validation loss rose from "
            f"{validation[turn]:.4g} to {validation[-1]:.4g}."
        )
    if verdict == "underfit":
        return (
            f"Not overfitted: at epoch {last} training loss ({train[-1]:.4g}) and validation loss "
            f"({validation[-1]:.4g}) were both still falling, so more epochs may help."
        )
    if verdict == "flat":
        return (
            f"Neither loss fell after epoch {epochs[0]} (training {train[-1]:.4g}, validation {validation[-1]:.4g}): "
            "all was learnt in the first epoch, or nothing; the metrics tell which."
        )
    return (
        f"Not overfitted: over {len(epochs)} epochs the validation loss settled at {validation[-1]:.4g} and did not "
        f"rise while the training loss fell to {train[-1]:.4g}."
    )


def _too_short(history: Sequence[dict[str, Any]], both: list[dict[str, Any]]) -> dict[str, Any]:
    best = min(both, key=lambda line: float(line["validation/loss"])) if both else None
    why = f"{len(both)} epochs are too few to tell (at least {SHORTEST})" if both else "there is no validation split"
    trains = [float(line["train/loss"]) for line in history if _is_number(line.get("train/loss"))]
    return {
        "verdict": "unknown",
        "epoch": None,
        "bestEpoch": int(best["epoch"]) if best else None,
        "validationLoss": float(best["validation/loss"]) if best else None,
        "finalValidationLoss": float(both[-1]["validation/loss"]) if both else None,
        "finalTrainLoss": trains[-1] if trains else None,
        "rise": None,
        "sentence": f"Whether the network was overfitted is not known: {why}.",
    }


def _smooth(values: list[float]) -> list[float]:
    """Running median of three, which no single outlier moves; the ends take the median of their three nearest."""
    last = len(values) - 1
    centres = (min(max(i, 1), last - 1) for i in range(len(values)))
    return [median(values[i - 1 : i + 2]) for i in centres]


def _noise(values: list[float]) -> float:
    """Deviation of the noise about a smooth curve, from the median second difference.

    1.4826 makes a median distance the deviation of a normal distribution; a second difference of independent noise
    has the square root of 6 times its deviation. (Distances to a running median of three are 0 for every third value.)
    """
    second = [abs(a - 2 * b + c) for a, b, c in zip(values, values[1:], values[2:], strict=False)]
    return 1.4826 * median(second) / math.sqrt(6)


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and value == value and abs(value) != float("inf")
    )
