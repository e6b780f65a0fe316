"""Any Polars expression over a symbol's bars."""

from __future__ import annotations

import polars as pl

from bt.errors import StrategyError
from bt.features.declared import Feature, Within, checked


def feature(expr: pl.Expr, lookback: int | str, *, interval: str = "1m", within: Within = None) -> Feature:
    """A Polars expression over one symbol's bars (columns open, high, low, close, volume), oldest first.

    Expression plug-ins are expressions too: ``bt.feature(polars_talib.ta.cci(14), lookback=13)``.

    Parameters
    ----------
    expr : polars.Expr
        One value a bar; it sees `lookback` earlier bars of the symbol and the session's bars, nothing else.
    lookback : int or str
        Bars of warm-up before the session's first bar, or ``"5d"``: the bars of the 5 sessions before.
    interval : str
        Bars it works on: "1m", "5m", ... "1d". A coarser value is joined as-of: visible from its bin's end.
    within : {"session"}, optional
        "session": it sees only bars of the current session.

    Raises
    ------
    StrategyError
        The expression, lookback or interval is not one.
    """
    given: object = expr
    if not isinstance(given, pl.Expr):
        raise StrategyError(f"feature: expr must be a Polars expression, was {type(expr).__name__}; write pl.col(...)")
    bars = sessions = 0
    if isinstance(lookback, str):
        if not lookback[:-1].isdecimal() or lookback[-1:] != "d" or int(lookback[:-1]) < 1:
            raise StrategyError(f'feature: lookback must be a number of bars or like "5d", was {lookback!r}')
        sessions = int(lookback[:-1])
    else:
        if isinstance(lookback, bool) or lookback < 0:
            raise StrategyError(f"feature: lookback must be >= 0 bars, was {lookback!r}")
        bars = int(lookback)
    if within == "session":
        bars = sessions = 0
    return checked(Feature("expression", interval, within, expr, bars=bars, sessions=sessions), "feature")
