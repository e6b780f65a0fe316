"""Features of past sessions: trailing prior, and relative_volume of the current one by them."""

from __future__ import annotations

from typing import Literal

import polars as pl

from bt.errors import StrategyError
from bt.features.declared import AGGREGATES, Feature, checked
from bt.features.declared import whole as whole_number
from bt.features.expressions import is_wrapped, quantity
from bt.features.intraday import so_far
from bt.features.windowed import lag


def trailing(
    aggregate: str,
    of: str | pl.Expr,
    period: str,
    *,
    at: Literal["session", "minute"] = "session",
    min_sessions: int = 1,
) -> Feature:
    """An aggregate over past sessions, the current one excluded; fixed at the open.

    Parameters
    ----------
    aggregate : str
        avg, max, min, sum, std (sample), first or last.
    of : str or polars.Expr
        A bar column or an expression of bar columns ("close*volume" or ``pl.col("close") * pl.col("volume")``).
    period : str
        "10d" sessions, "52w" "3m" "1y" calendar weeks, months, years.
    at : {"session", "minute"}
        "session": over daily bars (an expression is summed over each session, unless it is wrapped: "max(high - low)").
        "minute": over the values of the same minute of session.
    min_sessions : int
        Fewer sessions with data give null.

    Raises
    ------
    StrategyError
        An argument cannot be used; it says which, and what it must be.

    Notes
    -----
    Source: moving average and its kin over sessions, https://en.wikipedia.org/wiki/Moving_average
    """
    if aggregate not in AGGREGATES:
        raise StrategyError(f"trailing: aggregate must be one of {', '.join(AGGREGATES)}, was {aggregate!r}")
    if at not in ("session", "minute"):
        raise StrategyError(f'trailing: at must be "session" or "minute", was {at!r}')
    check_period(period, "trailing")
    if min_sessions < 1:
        raise StrategyError(f"trailing: min_sessions must be >= 1, was {min_sessions}")
    column, expr = quantity(of, "indicator")
    if at == "minute" and expr is not None and is_wrapped(expr):
        raise StrategyError(
            f'trailing: of must be values of a minute for at="minute", was {of!s}; a wrapped expression is one of a session'
        )
    if at == "minute" and expr is not None and not (expr.meta.is_length_preserving() or expr.meta.is_scalar()):
        raise StrategyError(
            f'trailing: of must have a value a bar for at="minute", was {of!s}; write pl.when(...).then(...), which is null elsewhere'
        )
    made = Feature(
        "trailing", column=column, expr=expr, aggregate=aggregate, period=period, at=at, min_sessions=min_sessions
    )
    return checked(made, "trailing")


def check_period(period: str, name: str) -> None:
    """Refuse what is no period."""
    given: object = period
    if not isinstance(given, str) or not period[:-1].isdecimal() or int(period[:-1]) < 1 or period[-1:] not in "dwmy":
        raise StrategyError(f'{name}: period must be like "10d", "52w", "3m" or "1y", was {period!r}')


def prior(of: str | pl.Expr, sessions: int = 1) -> Feature:
    """The daily value of the calendar session `sessions` back (1: the one before); null if the symbol has no bar in it.

    Parameters
    ----------
    of : str or polars.Expr
        A bar column (open first, high max, low min, close last, volume sum) or an expression, summed over the session unless
        it is wrapped: ``prior("max(high) - min(low)")``.
    sessions : int

    Raises
    ------
    StrategyError
        An argument cannot be used; it says which, and what it must be.

    Notes
    -----
    Source: pivot points and gaps use it, https://en.wikipedia.org/wiki/Pivot_point_(technical_analysis)
    """
    back = whole_number(sessions, "prior", "sessions", 1)
    column, expr = quantity(of, "prior")
    made = Feature("trailing", column=column, expr=expr, aggregate="last", period=f"{back}d", skip=back - 1)
    return checked(made, "prior")


def relative_volume(period: str, cumulative: bool = True, *, min_sessions: int = 1) -> Feature:  # noqa: FBT001, FBT002
    """The session's volume up to this minute by what it usually is up to this minute of session; 1 is usual.

    Parameters
    ----------
    period : str
        As in `trailing`: "10d" past sessions, "3m" calendar months; the current one excluded.
    cumulative : bool
        True: the volume so far, this minute's included, by the mean of that of the period's sessions in which the symbol has
        any bar and which are not over by this minute (half days contribute the minutes they have). False: this minute's volume
        by its mean over the sessions that have this minute; for 1-minute rows.
    min_sessions : int
        Fewer sessions give null.

    Raises
    ------
    StrategyError
        An argument cannot be used; it says which, and what it must be.

    Notes
    -----
    Null while the mean is 0 or unknown. The mean of whole volumes is exact and rounded once, the ratio once more.

    Source: relative volume at time, https://chartschool.stockcharts.com/table-of-contents/technical-indicators-and-overlays/technical-indicators/relative-volume-rvol
    """
    check_period(period, "relative_volume")
    least = whole_number(min_sessions, "relative_volume", "min_sessions", 1)
    at: Literal["cumulative", "minute"] = "cumulative" if cumulative else "minute"
    now = so_far("sum", "volume") if cumulative else lag("volume", 0, within="session")
    usual = Feature("trailing", column="volume", aggregate="avg", period=period, at=at, min_sessions=least)
    return Feature("ratio", at=at, inputs_=(now, usual))
