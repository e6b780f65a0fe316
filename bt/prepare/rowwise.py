"""Expressions over the bars of several symbols: each sees those of one symbol alone."""

from __future__ import annotations

import polars as pl

from bt.strategy import CODE


def by_symbol(expr: pl.Expr) -> pl.Expr:
    """An expression over a frame with `CODE`: what is not made row by row is made over each symbol's rows."""
    return expr if is_rowwise(expr) else expr.over(CODE)


def is_rowwise(expr: pl.Expr) -> bool:
    """Whether each value is made from its own row alone, as far as Polars tells: of an expression that calls Python it does not, unless that says so itself."""
    try:
        meta = expr.meta
        if not meta.is_row_separable() or not (meta.is_length_preserving() or meta.is_scalar()):
            return False
        return all(is_rowwise(inner) for inner in meta.pop())
    except pl.exceptions.PolarsError:
        return False


def is_foreign(expr: pl.Expr) -> bool:
    """Whether an expression calls Python or a plugin. Where that says it works row by row, Polars hands it all rows at once and believes it."""
    try:
        written = expr.meta.serialize()
    except Exception:  # noqa: BLE001 - what cannot be written down is not ours to judge
        return True
    return b"AnonymousFunction" in written or b"FfiPlugin" in written
