"""What came after each bar, and at which minute of the session."""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import accumulate
from typing import Literal

import numpy as np
import polars as pl

from bt.errors import UsageError
from bt.model import Int64Array
from bt.prepare import OpenedActions, given_actions
from bt.schema import MINUTE
from bt.studies.asked import RETURN, check_within, eager, minutes, require
from bt.studies.minutes import MOMENT, Floats, Series, series, trading_minutes
from bt.studies.statistics import finite, known, moments

HORIZONS = ("5m", "30m", "close")
Price = Literal["close", "next_open"]
Within = Literal["session"] | None


def forward_returns(
    bars: pl.DataFrame | pl.LazyFrame,
    horizons: Sequence[str] = HORIZONS,
    *,
    price: Price = "close",
    within: Within = "session",
    max_stale: str | None = None,
    actions: pl.DataFrame | str | os.PathLike[str] | None = None,
    calendar: str = "XNYS",
) -> pl.DataFrame:
    """`bars` with a column ``ret_<horizon>`` for each horizon: the return after the bar, a fraction.

    exit / entry - 1. The exit is the symbol's last close known when the horizon has passed since the bar's close_time. Horizons are minutes in which the
    exchange trades: breaks take none, nor do nights where `within` is None. Bars are compared in the terms of their own session: over nights give
    `actions`, or bars that are adjusted for splits, else a split shows as a return.

    Parameters
    ----------
    bars : DataFrame or LazyFrame
        Bars of one interval, as `load_bars` gives: symbol, open_time and close_time (Datetime us UTC), open and close (Float64), and whatever else,
        which is kept. In any order.
    horizons : sequence of str
        "5m", "2h"; "close", the session's; with `within` None also "1d", "5d", the close of so many sessions later.
    price : "close" or "next_open"
        The entry: the bar's own close, or the open of the symbol's next bar, as an order would fill.
    within : "session" or None
        "session" gives null where the horizon passes the session's close. None goes on in the next session, up to the last that has bars.
    max_stale : str, optional
        Such as "10m": null where the exit's close is older than that when the horizon has passed. Without it the last close counts however old it is.
    actions : DataFrame or path, optional
        Corporate actions as ``data.actions``: a share at the entry is as many at the exit as the splits between make of it. Returns are of prices: dividends
        are not in them, and what is renamed ends as what has no bars any more.
    calendar : str
        Whose sessions the bars are of, as `load_bars`.

    Returns
    -------
    DataFrame
        The rows in their order. Null where the horizon takes no time (to the close from the last bar), passes what `within` allows, or, with "next_open", no
        bar opens and closes before it has passed. Of 1m bars within the session ``ret_30m`` is to the bit what `load_rows` labels with
        ``bt.forward_return("30m", price=price)``, except where a break lies between: that one goes by the clock.

    Raises
    ------
    UsageError, CalendarError
        Something else is asked for; columns are missing or of another type; bars overlap, or lie outside the sessions of `calendar`.
    DataError
        A row of `actions` cannot be.
    """
    source = "forward_returns"
    check_within(within, source)
    if price not in ("close", "next_open"):
        raise UsageError(f'{source}: price must be "close" or "next_open", was {price!r}')
    stale = None if max_stale is None else minutes(max_stale, source, "max_stale")
    for horizon in horizons:
        _check_horizon(horizon, within, source)
    table = None if actions is None else given_actions(actions, f"{source}: actions")
    frame, found = series(bars, calendar, source, apart=within == "session")
    splits = {} if table is None or not frame.height else _splits(found, table)
    columns = []
    for horizon in dict.fromkeys(horizons):
        values = np.full(frame.height, np.nan)
        values[found.order] = _returns(found, _ends(found, horizon, within), price, stale, splits)
        columns.append(known(values).alias(RETURN + horizon))
    return frame.with_columns(columns)


def _check_horizon(horizon: str, within: Within, source: str) -> None:
    if horizon == "close":
        return
    if str(horizon).endswith("d"):
        if within is not None:
            raise UsageError(
                f"{source}: horizon {horizon!r} must lie in the session; say within=None to go over nights"
            )
        minutes(horizon[:-1] + "m", source, "horizon in sessions")
        return
    minutes(horizon, source, "horizon")


def _ends(found: Series, horizon: str, within: Within) -> Int64Array:
    """Trading minutes at which the horizon of each bar has passed; -1 where that is later than is allowed."""
    closes = found.clock.closes
    last = found.session.max(initial=0)
    if horizon.endswith("d"):
        session = found.session + int(horizon[:-1])
        return np.where(session <= last, closes[np.minimum(session, last)], -1)
    close = closes[found.session]
    end = close if horizon == "close" else found.closed + minutes(horizon, "forward_returns", "horizon")
    until = close if within == "session" else np.full(len(end), closes[last])
    return np.where(end <= until, end, -1)


def _splits(found: Series, table: OpenedActions) -> dict[int, tuple[Int64Array, Floats]]:
    """By code the sessions of its splits, and what a share had before the first i of them is after the first j of them, as [i, j]."""
    ratios: dict[int, dict[int, Fraction]] = {}
    for action in table.of(found.symbols, found.clock.schedule).every:
        if action.kind == "split":
            own = ratios.setdefault(action.code, {})
            own[action.session] = own.get(action.session, Fraction(1)) * action.ratio
    made = {}
    for code, own in ratios.items():
        grown = [Fraction(1), *accumulate(own.values(), operator.mul)]
        made[code] = np.array(list(own)), np.array([[float(after / before) for after in grown] for before in grown])
    return made


def _shares(
    found: Series, first: Int64Array, last: Int64Array, splits: Mapping[int, tuple[Int64Array, Floats]]
) -> Floats:
    """How many shares one at the bar `first` is at the bar `last`."""
    shares = np.ones(len(first))
    for code, (sessions, grown) in splits.items():
        own = np.flatnonzero(found.code[first] == code)
        before, after = (np.searchsorted(sessions, found.session[at[own]], side="right") for at in (first, last))
        shares[own] = grown[before, after]
    return shares


def _returns(
    found: Series, end: Int64Array, price: Price, stale: int | None, splits: Mapping[int, tuple[Int64Array, Floats]]
) -> Floats:
    values = np.full(len(end), np.nan)
    if not len(end):
        return values
    last = found.last_closed(found.group, end)
    if price == "close":
        first, paid = np.arange(len(end)), found.close
    else:
        first, paid = found.next_opened(found.group, found.closed), found.open
    there = (end > found.closed) & (first >= 0) & (last >= first)
    if stale is not None:
        there &= end - found.closed[last] <= stale
    first, last = first[there], last[there]
    values[there] = found.close[last] * _shares(found, first, last, splits) / paid[first] - 1.0
    return values


def by_minute(
    frame: pl.DataFrame | pl.LazyFrame, column: str, *, half_days: bool = True, calendar: str = "XNYS"
) -> pl.DataFrame:
    """Statistics of a column by minute of the session.

    Parameters
    ----------
    frame : DataFrame or LazyFrame
        With close_time (Datetime us UTC) and the column, a number; null and what is not finite do not count.
    column : str
        Such as "ret_5m".
    half_days : bool
        False leaves out sessions that close early. They count by minutes since the open, so their last minutes are among others' middays.
    calendar : str
        Whose sessions the rows are of.

    Returns
    -------
    DataFrame
        minute (of the session, 0 the first, breaks left out; the one that ends at close_time), mean, std (n - 1), count (rows), t_stat; sessions
        and half_days (how many of them had a row, and closed early), t_stat_sessions. Sorted by minute; minutes without a value are not there.
        t_stat = mean / (std / sqrt(count)) takes all rows as independent, which symbols at one minute are not; t_stat_sessions is that of the sessions' own means,
        one observation each.

    Raises
    ------
    UsageError, CalendarError
        Columns are missing, or rows lie outside the sessions of `calendar`.

    Notes
    -----
    Source of t_stat_sessions: Fama and MacBeth, "Risk, Return, and Equilibrium", Journal of Political Economy 81 (1973), with a session as the period.
    """
    source = "by_minute"
    rows = eager(frame)
    require(rows, {"close_time": MOMENT, column: None}, source)
    end = rows["close_time"].to_physical().to_numpy().astype(np.int64)
    clock = trading_minutes(end - MINUTE, end, calendar)
    session, closed = clock.closing(end, source)
    minute = closed - clock.opens[session] - 1
    values = finite(rows, column)
    early = clock.early()
    kept = np.isfinite(values) if half_days else np.isfinite(values) & ~early[session]
    session, minute, values = session[kept], minute[kept], values[kept]
    most, days = int(minute.max(initial=-1)) + 1, len(early)
    all_rows = moments(minute, values, most)
    each = moments(minute * days + session, values, most * days)
    held = np.flatnonzero(each.count)
    by_session = moments(held // days, each.mean[held], most)
    halves = np.bincount(held // days, weights=early[held % days], minlength=most).astype(np.int64)
    table = {
        "minute": pl.Series(np.arange(most), dtype=pl.Int64), "mean": known(all_rows.mean), "std": known(all_rows.std),
        "count": all_rows.count, "t_stat": known(all_rows.t_stat), "sessions": by_session.count, "half_days": halves,
        "t_stat_sessions": known(by_session.t_stat),
    }  # fmt: skip
    return pl.DataFrame(table).filter(pl.col("count") > 0)
