"""Features of the session so far: vwap so_far opening_range. Each starts anew with every session."""

from __future__ import annotations

import polars as pl

from bt.errors import StrategyError
from bt.features.declared import Feature, check_interval, checked
from bt.features.declared import whole as whole_number
from bt.features.expressions import is_wrapped, quantity
from bt.schema import BAR_COLUMNS

SO_FAR = ("avg", "max", "min", "sum", "first", "last")


def vwap(*, interval: str = "1m") -> Feature:
    """The session's volume-weighted average price up to this bar; null while no volume was traded.

    sum(typical x volume) / sum(volume) with typical = (high + low + close) / 3. Exact, rounded once, where prices lie on a tick
    grid and volumes are whole.

    Source: volume-weighted average price, https://en.wikipedia.org/wiki/Volume-weighted_average_price; of bars by their typical
    price, https://chartschool.stockcharts.com/table-of-contents/technical-indicators-and-overlays/technical-overlays/volume-weighted-average-price-vwap

    Raises
    ------
    StrategyError
        An argument cannot be used; it says which, and what it must be.
    """
    return _today(Feature("today", interval, "session", aggregate="vwap"), "vwap")


def so_far(aggregate: str, of: str | pl.Expr, *, interval: str = "1m") -> Feature:
    """A statistic of the session's bars up to this one: avg max min sum first or last.

    Parameters
    ----------
    aggregate : str
    of : str or polars.Expr
        A bar column (sums and means are exact) or an expression of bar columns, "close*volume", computed in floats.

    Raises
    ------
    StrategyError
        An argument cannot be used; it says which, and what it must be.

    Notes
    -----
    Source: running total, https://en.wikipedia.org/wiki/Running_total
    """
    if aggregate not in SO_FAR:
        raise StrategyError(f"so_far: aggregate must be one of {', '.join(SO_FAR)}, was {aggregate!r}")
    column, expr = quantity(of, "so_far")
    if expr is None:
        return _today(Feature("today", interval, "session", column=column, aggregate=aggregate), "so_far")
    if is_wrapped(expr):
        raise StrategyError(f"so_far: of must be values of a bar, was {of!s}; a wrapped expression is one of a session")
    number = pl.int_range(1, pl.len() + 1)
    made = {
        "avg": expr.cum_sum() / number,
        "max": expr.cum_max(),
        "min": expr.cum_min(),
        "sum": expr.cum_sum(),
        "first": expr.first(),
        "last": expr,
    }[aggregate]
    return _today(Feature("expression", interval, "session", made), "so_far")


def opening_range(column: str, minutes: int = 30, *, interval: str = "1m") -> Feature:
    """The opening range: `column` over the bars that began in the session's first `minutes` minutes.

    Of "high" the maximum, of "low" the minimum, of "open" the first, of "close" the last, of "volume" the sum. Null until the
    exchange's clock has passed those minutes (the bar that ends then has it), constant after; null all session if the symbol
    has no bar in them. Minutes in breaks do not count.

    Source: T. Crabel, Day Trading with Short Term Price Patterns and Opening Range Breakout (1990).

    Raises
    ------
    StrategyError
        An argument cannot be used; it says which, and what it must be.
    """
    if column not in BAR_COLUMNS:
        raise StrategyError(f"opening_range: a column must be one of {', '.join(BAR_COLUMNS)}, was {column!r}")
    n = whole_number(minutes, "opening_range", "minutes", 1)
    made = Feature("today", interval, "session", column=column, n=n, aggregate="opening")
    return _today(made, "opening_range")


def _today(made: Feature, name: str) -> Feature:
    check_interval(made.interval, name)
    return made if made.aggregate == "vwap" else checked(made, name)
