"""How the rows of one job are divided, by what its manifest says."""

import numpy as np
from numpy.typing import NDArray

from trainyard_api.errors import TrainyardError
from trainyard_api.recipe import Data
from trainyard_trainer.prepare import split


def divide(
    given: split.Assignment,
    data: Data,
    codes: NDArray[np.int32] | None,
    groups: NDArray[np.uint64],
    where: str,
) -> split.Assignment:
    """The split of every row, in the rows' order. `codes`: classes; `groups`: hashes of data.split.key.

    Raises TrainyardError if nothing is left to train on, or a regression is to be stratified.
    """
    wanted = data.split
    if data.splits:
        result = given
    elif wanted.key:
        result = split.by_key(groups, wanted.validation, wanted.test)
    elif wanted.stratify:
        if codes is None:
            raise TrainyardError(
                "stratify needs classes, and this is a regression.", "data.split.stratify", "Set it to false."
            )
        result = split.stratified(codes, wanted.validation, wanted.test)
    else:
        result = split.at_random(len(given), wanted.validation, wanted.test)
    if not (result == split.TRAIN).any():
        raise TrainyardError(
            "No row is left to train on.", where, "Change data.split: its shares, or its key.", cause="TooFewRows"
        )
    return result


def split_reason(data: Data) -> str:
    """In plain words, how rows were divided."""
    if data.splits:
        return "as given"
    if data.split.key:
        return f"by the hash of {data.split.key}"
    return f"at random, seed {data.split.seed}" + (", the same share of every class" if data.split.stratify else "")
