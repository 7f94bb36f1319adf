"""Columns by their exact names."""

import polars as pl
import polars.selectors as cs

VALUES = "values"


def named(*names: str) -> pl.Expr:
    """The columns called `names`, in this order.

    `pl.col` and strings in `select` take `*` and `^...$` for patterns; a source's column may have such a name.
    """
    return cs.by_name(*names).as_expr()


def unnamed(column: pl.Series) -> pl.Series:
    """`column` under a harmless name: many methods of a Series look it up in a frame by its own."""
    return column.alias(VALUES)
