"""Arithmetic written as text, as Polars: ``close*volume``, ``max(high - low)``, ``avg(close*volume, 10d) > 1e6 and ...``.

`parsed` is the grammar: numbers, + - * /, and where asked comparisons, ``and`` and ``or``; what names and calls mean is its caller's. `bar_expression`
is the grammar over bar columns.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

import polars as pl

from bt.errors import StrategyError
from bt.schema import BAR_COLUMNS

Leaf = Callable[[ast.expr], pl.Expr | None]
"""What a name or a call means; None if it means nothing."""

_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip
_COMPARISON: dict[type, Callable[[Any, Any], Any]] = {
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip

WRAPPERS = ("first", "last", "max", "min", "mean", "sum")
"""Functions that make a session's value of an expression's values per minute; unwrapped ones are summed."""


def parsed(text: str, leaf: Leaf, refusal: str, *, logical: bool = False) -> pl.Expr:
    """An expression in text.

    Parameters
    ----------
    leaf : callable
        Gives a name or a call its meaning; it may call `parsed` or `built` on what is inside.
    refusal : str
        The message, without what was given, for what cannot be read.
    logical : bool
        Comparisons, ``and`` and ``or`` are allowed.

    Raises
    ------
    StrategyError
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        raise StrategyError(f"{refusal}, was {text!r}") from None
    return built(tree, leaf, f"{refusal}, was {text!r}", logical=logical)


def built(node: ast.expr, leaf: Leaf, refusal: str, *, logical: bool = False) -> pl.Expr:
    """The same of a tree; `refusal` is the whole message."""

    def of(part: ast.expr) -> pl.Expr:
        return built(part, leaf, refusal, logical=logical)

    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        made: pl.Expr = _ARITHMETIC[type(node.op)](of(node.left), of(node.right))
        return made
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -of(node.operand)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return pl.lit(float(node.value))
    if logical and isinstance(node, ast.Compare) and all(type(o) in _COMPARISON for o in node.ops):
        sides = [of(side) for side in (node.left, *node.comparators)]
        steps = zip(node.ops, sides, sides[1:], strict=False)
        return pl.all_horizontal([_COMPARISON[type(o)](a, b) for o, a, b in steps])
    if logical and isinstance(node, ast.BoolOp):
        joined = pl.all_horizontal if isinstance(node.op, ast.And) else pl.any_horizontal
        return joined([of(value) for value in node.values])
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
        f"wrapped or not in {', '.join(f'{w}()' for w in WRAPPERS)}"
    )
    levels: set[str] = set()

    def column(node: ast.expr) -> pl.Expr | None:
        return pl.col(node.id) if isinstance(node, ast.Name) and node.id in BAR_COLUMNS else None

    def leaf(node: ast.expr) -> pl.Expr | None:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in WRAPPERS:
            if len(node.args) == 1 and not node.keywords:
                levels.add("session")
                inside = built(node.args[0], column, f"{refusal}, was {text!r}").cast(pl.Float64)
                wrapped: pl.Expr = getattr(inside, node.func.id)()
                return wrapped
            return None
        levels.add("minute")
        return column(node)

    made = parsed(text, leaf, refusal)
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
