"""Schedules from exchange_calendars: this is the only module that imports it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from difflib import get_close_matches
from importlib.metadata import version
from typing import Any

import polars as pl

from bt.errors import CalendarError
from bt.model import Schedule
from bt.sessions.minutes import MINUTE
from bt.sessions.overlays import (
    CME_EQUITY,
    CME_EQUITY_BASE,
    CME_EQUITY_EARLIEST,
    CME_EQUITY_HOLIDAYS,
    amend,
    cme_equity,
)
from bt.sessions.window import SCHEMA, Window

EARLIEST, LATEST = date(1950, 1, 1), date(2099, 12, 31)
"""Bounds where the library states none: before, zones had offsets off the minute; after, holidays are guesses."""


def build_window(name: str, first: date, last: date) -> Window:
    """Every session of calendar `name` from `first` to `last`, clipped to what the calendar knows.

    Raises
    ------
    CalendarError
        An unknown name (the nearest known ones are told), no overlap with the calendar's bounds, or a calendar that the
        library cannot build.
    """
    # not at the top: importing it costs 1-2 s, and a schedule in the cache does not need it
    import exchange_calendars as xc

    own = name == CME_EQUITY
    known = [*xc.get_calendar_names(), CME_EQUITY]
    if name not in known:
        raise CalendarError(_unknown(name, known))
    base = xc.resolve_alias(CME_EQUITY_BASE if own else name)
    with _quiet(f"{name}: the schedule {first} to {last}"):
        earliest, latest = _bounds(xc.get_calendar(base), CME_EQUITY_EARLIEST if own else EARLIEST)
    a, b = max(first, earliest), min(last, latest)
    if a > b:
        raise CalendarError(f"{name}: days must be within {earliest} to {latest}, were {first} to {last}")
    with _quiet(f"{name}: the schedule {a} to {b}"):
        calendar = xc.get_calendar(base, start=str(a), end=str(b), side="left")
        days = _days(calendar)
        stock = _days(xc.get_calendar(CME_EQUITY_HOLIDAYS, start=str(a), end=str(b))) if own else None
    zone = str(calendar.tz)
    if stock is None:
        frame = _segments(amend(base, zone, days))
    else:
        half_days = dict(zip(stock["session"], stock["early_close"], strict=True))
        frame = cme_equity(days["session"].to_list(), half_days, a, b)
    _check_minutes(name, frame)
    schedule = Schedule(CME_EQUITY if own else base, zone, frame)
    return Window(schedule, a, b, earliest, latest, asked_first=first, asked_last=last)


@contextmanager
def _quiet(what: str) -> Iterator[None]:
    """Silence deprecations inside the library, which a user of bt cannot act on, and name what it could not build."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        try:
            yield
        except Exception as error:
            told = f"exchange_calendars {version('exchange_calendars')}"
            message = f"{what} must be buildable by {told}, was not ({error})"
            raise CalendarError(f"{message}; give the calendar as a Parquet file instead") from error


def _unknown(name: str, known: list[str]) -> str:
    by_upper = {k.upper(): k for k in known}
    near = [by_upper[k] for k in get_close_matches(name.upper(), by_upper, n=4, cutoff=0.5)]
    hint = f"nearest known: {', '.join(near)}" if near else f"known are {', '.join(sorted(known))}"
    wanted = f"the name of an exchange_calendars calendar, {CME_EQUITY} or the path of a .parquet file"
    return f"calendar: must be {wanted}, was {name!r}; {hint}"


def _bounds(calendar: Any, floor: date) -> tuple[date, date]:
    low, high = calendar.bound_min(), calendar.bound_max()
    return (
        floor if low is None else max(low.date(), floor),
        LATEST if high is None else min(high.date(), LATEST),
    )


def _days(calendar: Any) -> pl.DataFrame:
    """One row a session: session, open, break_start, break_end, close (Datetime us UTC), early_close."""
    table = calendar.schedule

    def column(name: str) -> pl.Series:
        # through numpy: NaT has to become null
        values = table[name].dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
        return pl.Series(name, values).dt.replace_time_zone("UTC")

    session = pl.Series("session", table.index.to_numpy().astype("datetime64[D]")).cast(pl.Date)
    early = pl.Series("early_close", table.index.isin(calendar.early_closes))
    return pl.DataFrame([session, *map(column, ("open", "break_start", "break_end", "close")), early])


def _segments(days: pl.DataFrame) -> pl.DataFrame:
    """One row a segment: a session with a break has two."""
    has = pl.col("break_start").is_not_null()
    whole = days.select(
        "session",
        pl.lit(0).alias("segment"),
        "open",
        pl.when(has).then("break_start").otherwise("close").alias("close"),
        "early_close",
    )
    after = days.filter(has).select(
        "session", pl.lit(1).alias("segment"), pl.col("break_end").alias("open"), "close", "early_close"
    )
    return pl.concat([whole, after]).sort("session", "segment").cast(pl.Schema(SCHEMA))


def _check_minutes(name: str, frame: pl.DataFrame) -> None:
    off = frame.filter((pl.col("open").to_physical() % MINUTE != 0) | (pl.col("close").to_physical() % MINUTE != 0))
    if off.height:
        row = off.row(0, named=True)
        raise CalendarError(f"{name}: opens and closes must lie on whole minutes, session {row['session']} has {row}")
