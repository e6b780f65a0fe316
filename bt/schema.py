"""The contract of a frame of minute bars, and the row faults that withhold a row.

Bars have ``symbol, open_time, close_time, open, high, low, close, volume`` and optionally ``vwap, n_trades, bid, ask``. Inside the
engine a minute bar is ``code`` (index into the run's sorted symbols, UInt16), ``time`` (Int64, UTC microseconds of its
open_time) and the columns asked for. Prices are Float64, volume is Int64 or Float64.
"""

from __future__ import annotations

import polars as pl

MINUTE = 60_000_000
"""Microseconds in a minute."""

PRICES = ("open", "high", "low", "close")
BAR_COLUMNS = (*PRICES, "volume")
QUOTES = ("bid", "ask")
"""The best quotes as a minute opens."""

OPTIONAL_COLUMNS = ("vwap", "n_trades", *QUOTES)

HIGHEST_PRICE = 9.2e10
"""A price above it cannot be counted: money is int64 in units of 1e-8."""

OUTSIDE_REASONS = ("no_session", "before_open", "in_break", "closing_print", "after_close")
FAULT_REASONS = ("off_grid", "non_finite", "non_positive", "inconsistent", "duplicate", "conflict")
"""Row faults in the order in which the first match counts (docs/data.md, Guards)."""

OK, OFF_GRID, NON_FINITE, NON_POSITIVE, INCONSISTENT, DUPLICATE, CONFLICT = range(7)
"""Fault codes: 0 is a good row, ``code - 1`` indexes FAULT_REASONS."""


def _positive() -> pl.Expr:
    return pl.all_horizontal([pl.col(c) > 0 for c in PRICES])


def _in_order() -> pl.Expr:
    return pl.col("high").is_between(pl.max_horizontal("open", "close", "low"), HIGHEST_PRICE) & (
        pl.col("low") <= pl.min_horizontal("open", "close")
    )


def sound_prices() -> pl.Expr:
    """Whether a row's four prices are finite, positive, in order and at most `HIGHEST_PRICE`, whatever its volume; null where one is null."""
    return pl.all_horizontal([pl.col(c).is_finite() for c in PRICES]) & _positive() & _in_order()


def fault_code() -> pl.Expr:
    """UInt8 fault code of each row by itself: OK, OFF_GRID, NON_FINITE, NON_POSITIVE or INCONSISTENT.

    Needs the columns ``time`` (Int64 microseconds), open, high, low, close and volume. A null price or volume is
    NON_FINITE, a price above `HIGHEST_PRICE` INCONSISTENT. Duplicates need the neighbours and are judged where rows are sorted.
    """
    values = [pl.col(c) for c in BAR_COLUMNS]
    finite = pl.all_horizontal([v.is_not_null() & v.cast(pl.Float64).is_finite() for v in values])
    return (
        pl.when(pl.col("time") % MINUTE != 0)
        .then(OFF_GRID)
        .when(~finite)
        .then(NON_FINITE)
        .when(~_positive())
        .then(NON_POSITIVE)
        .when(~(_in_order() & (pl.col("volume") >= 0)))
        .then(INCONSISTENT)
        .otherwise(OK)
        .cast(pl.UInt8)
        .alias("fault")
    )


DAY = 1_000_000
"""The interval "1d" as a number of minutes: one bin a session, longer than any other interval."""


def interval_minutes(interval: str) -> int:
    """Minutes of an interval such as "1m", "5m", "4h"; DAY for "1d". ValueError if it is not one."""
    number, unit = interval[:-1], interval[-1:]
    if not number.isdecimal() or int(number) < 1 or unit not in "mhd":
        raise ValueError(interval)
    if unit == "d":
        if number != "1":
            raise ValueError(interval)
        return DAY
    return int(number) * (60 if unit == "h" else 1)
