"""Arithmetic of bar columns written as text, as Polars: ``close*volume``, ``max(high - low)``."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

import polars as pl

from bt.errors import StrategyError
from bt.schema import BAR_COLUMNS

_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip

WRAPPERS = ("first", "last", "max", "min", "mean", "sum")
"""Functions that make a session's value of an expression's values per minute; unwrapped ones are summed."""


def _built(node: ast.expr, leaf: Callable[[ast.expr], pl.Expr | None], refusal: str) -> pl.Expr:
    """Numbers and + - * / of what `leaf` makes of names and calls; StrategyError `refusal` where that is None."""
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        left, right = (_built(side, leaf, refusal) for side in (node.left, node.right))
        made: pl.Expr = _ARITHMETIC[type(node.op)](left, right)
        return made
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_built(node.operand, leaf, refusal)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return pl.lit(float(node.value))
    found = leaf(node)
    if found is None:
        raise StrategyError(refusal)
    return found


def bar_expression(text: str, source: str = "indicator") -> pl.Expr:
    """An expression of bar columns: one value a minute, or one a session where it is wrapped (``max(high - low)``).

    Raises
    ------
    StrategyError
        It is none, or mixes values of a minute and of a session.
    """
    refusal = (
        f"{source}: an expression must use {', '.join(BAR_COLUMNS)}, numbers and + - * / only, "
        f"wrapped or not in {', '.join(f'{w}()' for w in WRAPPERS)}, was {text!r}"
    )
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        raise StrategyError(refusal) from None
    levels: set[str] = set()

    def column(node: ast.expr) -> pl.Expr | None:
        return pl.col(node.id) if isinstance(node, ast.Name) and node.id in BAR_COLUMNS else None

    def leaf(node: ast.expr) -> pl.Expr | None:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in WRAPPERS:
            if len(node.args) == 1 and not node.keywords:
                levels.add("session")
                inside = _built(node.args[0], column, refusal).cast(pl.Float64)
                wrapped: pl.Expr = getattr(inside, node.func.id)()
                return wrapped
            return None
        levels.add("minute")
        return column(node)

    made = _built(tree, leaf, refusal)
    if len(levels) > 1:
        raise StrategyError(
            f"{source}: an expression must be of minutes or of sessions, was {text!r}, which mixes them; "
            f"wrap every column in one of {', '.join(f'{w}()' for w in WRAPPERS)}"
        )
    return made


def quantity(of: str | pl.Expr, source: str) -> tuple[str, pl.Expr | None]:
    """A bar column's name, or "" and an expression."""
    if isinstance(of, pl.Expr):
        return "", of
    if of in BAR_COLUMNS:
        return of, None
    return "", bar_expression(of, source)


def is_wrapped(expr: pl.Expr) -> bool:
    """Whether an expression gives one value for all rows: it is not summed over a session."""
    try:
        expr.meta.serialize()
    except pl.exceptions.PolarsError:  # it calls Python, which is not to be done for nothing
        return False
    some = pl.DataFrame({c: [1.0, 2.0] for c in BAR_COLUMNS})
    try:
        return some.select(expr).height == 1
    except pl.exceptions.PolarsError:
        return False
