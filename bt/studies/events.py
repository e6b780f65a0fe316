"""Prices around events, on the clock of the exchange."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from bt.errors import UsageError
from bt.model import Int64Array
from bt.schema import MINUTE
from bt.studies.asked import check_within, eager, minutes
from bt.studies.minutes import MOMENT, Floats, Series, series
from bt.studies.returns import Price, Within
from bt.studies.statistics import known, moments, ratio

_PER_SYMBOL = 1 << 32


@dataclass(frozen=True)
class _Window:
    """The minutes around an event, how far they may go, and what the base is."""

    minutes: Int64Array
    within: Within
    price: Price


def event_paths(
    bars: pl.DataFrame | pl.LazyFrame,
    events: pl.DataFrame | pl.LazyFrame,
    *,
    before: str = "30m",
    after: str = "60m",
    within: Within = "session",
    against: str | None = None,
    price: Price = "next_open",
    calendar: str = "XNYS",
) -> pl.DataFrame:
    """The cumulative return of every event's symbol, minute by minute around the first bar after the event.

    An event is known at its time; minute 0 is the symbol's first bar that opens then or later, in the session that closes next or in the one after it. The return at minute k is the last close
    known at the end of minute k / base - 1, also before minute 0. Minutes are those in which the exchange trades.

    Parameters
    ----------
    bars : DataFrame or LazyFrame
        As `forward_returns`.
    events : DataFrame or LazyFrame
        symbol, and time with a time zone; further columns are ignored. A symbol may have several.
    before, after : str
        The window, such as "30m" and "60m": minutes -30 to 59.
    within : "session" or None
        "session" cuts the window at the open and the close of minute 0's session, and no price of another session is looked at. None goes on in the sessions
        beside it, as far as there are bars.
    against : str, optional
        A symbol of `bars`, or "universe", the mean of all symbols of `bars` (the event's own among them): its return over the same minutes, from the
        same moment, is subtracted. Where it is not known there is no row.
    price : "next_open" or "close"
        The base: the open of minute 0, which an order would get, or the last close known when it opens.
    calendar : str
        Whose sessions the bars are of.

    Returns
    -------
    DataFrame
        event (Int64, the row number in `events`), symbol, time (Datetime us UTC), minute_0 (when that bar opens), minute (Int64), ret (a fraction). Sorted by event
        and minute. An event without such a bar has no row, nor has a minute before the first close that may be looked at.

    Raises
    ------
    UsageError, CalendarError
        As `forward_returns`; times are naive, a symbol or time is null, or `against` is not in the bars.
    """
    source = "event_paths"
    check_within(within, source)
    if price not in ("close", "next_open"):
        raise UsageError(f'{source}: price must be "close" or "next_open", was {price!r}')
    around = np.arange(-minutes(before, source, "before"), minutes(after, source, "after"))
    window = _Window(around, within, price)
    told = _events(events, source)
    _, found = series(bars, calendar, source, apart=within == "session")
    if against not in (None, "universe", *found.symbols):
        raise UsageError(f'{source}: against must be a symbol of the bars, "universe" or None, was {against!r}')
    if not len(found.order):
        return _told(told, found, np.zeros(0, np.int64), window, np.zeros((0, len(around))))
    first = _first_bars(told, found)
    minute = found.opened[np.maximum(first, 0)]
    session = found.session[np.maximum(first, 0)]
    paths = _paths(found, found.code[np.maximum(first, 0)], session, minute, window)
    if against is not None:
        paths = paths - _benchmark(found, against, session, minute, window)
    paths[first < 0] = np.nan
    return _told(told, found, first, window, paths)


def event_study(
    bars: pl.DataFrame | pl.LazyFrame,
    events: pl.DataFrame | pl.LazyFrame,
    *,
    before: str = "30m",
    after: str = "60m",
    within: Within = "session",
    against: str | None = None,
    price: Price = "next_open",
    calendar: str = "XNYS",
) -> pl.DataFrame:
    """The mean cumulative return by minute around events.

    Parameters
    ----------
    bars, events, before, after, within, against, price, calendar
        As `event_paths`, which gives the paths that are averaged here.

    Returns
    -------
    DataFrame
        minute (Int64; 0 is the first bar after the event), mean (a fraction), std_error (std / sqrt(count)), t_stat (mean / std_error), count (the events that have a
        return there). Sorted by minute, one row for each of the window; null where there is too little. std_error takes the events as independent.

    Raises
    ------
    UsageError, CalendarError
        As `event_paths`.

    Notes
    -----
    Source: MacKinlay, "Event Studies in Economics and Finance", Journal of Economic Literature 35 (1997), with buy-and-hold returns.
    """
    paths = event_paths(
        bars, events, before=before, after=after, within=within, against=against, price=price, calendar=calendar
    )
    begin, stop = -minutes(before, "event_study", "before"), minutes(after, "event_study", "after")
    found = moments(paths["minute"].to_numpy() - begin, paths["ret"].to_numpy(), stop - begin)
    return pl.DataFrame(
        {
            "minute": pl.Series(np.arange(begin, stop), dtype=pl.Int64), "mean": known(found.mean),
            "std_error": known(found.std_error), "t_stat": known(found.t_stat), "count": found.count,
        }
    )  # fmt: skip


def _events(events: pl.DataFrame | pl.LazyFrame, source: str) -> pl.DataFrame:
    """symbol, and time as microseconds, rounded up."""
    frame = eager(events)
    for name in ("symbol", "time"):
        if name not in frame.columns:
            raise UsageError(f"{source}: events must have columns symbol and time, have {', '.join(frame.columns)}")
    kind = frame.schema["time"]
    if not isinstance(kind, pl.Datetime) or kind.time_zone is None:
        raise UsageError(
            f"{source}: the time of events must have a time zone, was {kind}; dt.replace_time_zone says which one it is of"
        )
    found = frame.select(pl.col("symbol").cast(pl.String), pl.col("time").dt.convert_time_zone("UTC"))
    if found.null_count().row(0) != (0, 0):
        raise UsageError(f"{source}: the symbol and the time of events must not be null")
    whole = pl.col("time").dt.cast_time_unit("us")
    later = whole.dt.cast_time_unit(kind.time_unit) < pl.col(
        "time"
    )  # of nanoseconds: it is known at the next microsecond
    return found.with_columns(whole + pl.duration(microseconds=later.cast(pl.Int64), time_unit="us"))


def _first_bars(told: pl.DataFrame, found: Series) -> Int64Array:
    """Each event's first bar that opens at its time or later; -1 without one in the session of the event or the next."""
    codes = {symbol: code for code, symbol in enumerate(found.symbols)}
    code = np.array([codes.get(s, -1) for s in told["symbol"]], dtype=np.int64)
    time = told["time"].to_physical().to_numpy().astype(np.int64)
    minute = -(-time // MINUTE)
    opened = found.code * _PER_SYMBOL + found.begin // MINUTE
    at = np.searchsorted(opened, code * _PER_SYMBOL + minute, side="left")
    inside = np.minimum(at, len(opened) - 1)
    latest = np.searchsorted(found.clock.schedule.close, time, side="right") + 1
    there = (at < len(opened)) & (found.code[inside] == code) & (found.session[inside] <= latest)
    return np.where(there & (time >= found.clock.since), inside, -1)


def _paths(
    found: Series, code: Int64Array, session: Int64Array, start: Int64Array, window: _Window
) -> Floats:  # fmt: skip
    """The returns of symbols `code` from `start` (trading minutes) on, by event and minute of the window; NaN where not known."""
    group = code * len(found.clock.closes) + session if window.within == "session" else code
    end = start[:, None] + window.minutes + 1
    last = found.last_closed(np.repeat(group, len(window.minutes)), end.ravel()).reshape(end.shape)
    if window.price == "close":
        base = found.last_closed(group, start)
        paid = found.close[base]
        there = last >= 0
    else:
        base = found.next_opened(group, start)
        paid = found.open[base]
        there = (last >= 0) & ((window.minutes < 0) | (last >= base[:, None]))
    clock = found.clock
    opens, closes = (
        (clock.opens[session], clock.closes[session])
        if window.within == "session"
        else (clock.opens[:1], clock.closes[-1:])
    )
    there &= (base >= 0)[:, None] & (end > opens[:, None]) & (end <= closes[:, None])
    return np.where(there, found.close[last] / paid[:, None] - 1.0, np.nan)


def _benchmark(
    found: Series, against: str, session: Int64Array, start: Int64Array, window: _Window
) -> Floats:  # fmt: skip
    """The return of a symbol, or the mean of all that have one, over the windows of events."""
    if against != "universe":
        code = np.full(len(start), found.symbols.index(against))
        return _paths(found, code, session, start, window)
    moment, event = np.unique(start * len(found.clock.closes) + session, return_inverse=True)
    begin, day = moment // len(found.clock.closes), moment % len(found.clock.closes)
    total, count = np.zeros((2, len(moment), len(window.minutes)))
    for number in range(len(found.symbols)):
        one = _paths(found, np.full(len(moment), number), day, begin, window)
        there = np.isfinite(one)
        total += np.where(there, one, 0.0)
        count += there
    return ratio(total, count)[event]


def _told(told: pl.DataFrame, found: Series, first: Int64Array, window: _Window, paths: Floats) -> pl.DataFrame:
    """The paths as rows."""
    event, minute = np.nonzero(np.isfinite(paths))
    opens = found.begin[first[event]] if len(event) else np.zeros(0, np.int64)
    return pl.DataFrame(
        {
            "event": pl.Series(event, dtype=pl.Int64), "symbol": told["symbol"].gather(event),
            "time": told["time"].gather(event), "minute_0": pl.Series(opens, dtype=pl.Int64).cast(MOMENT),
            "minute": pl.Series(window.minutes[minute], dtype=pl.Int64), "ret": pl.Series(paths[event, minute], dtype=pl.Float64),
        }
    )  # fmt: skip
