"""What is predicted, told by the target's values."""

import polars as pl

from trainyard_api.documents import Task

FEW = 20
"""A whole-number target of at most this many different values is taken for classes."""


def decide_task(target: pl.Series) -> Task:
    """binary, multiclass or regression, as `data.task: auto` decides it; nulls don't count.

    Text and truth values are classes, and so are whole numbers of at most 20 different values. Other numbers are
    amounts.
    """
    dtype = target.dtype
    distinct = target.drop_nulls().n_unique()
    if dtype.is_float() or dtype.is_decimal() or dtype.is_temporal() or (dtype.is_integer() and distinct > FEW):
        return "regression"
    return "binary" if distinct <= 2 else "multiclass"
