"""What exchange_calendars lacks, by date: lunch breaks as they were, days it missed, and CME's equity index hours.

Every entry names its source. Change `OVERLAY_VERSION` with any change of a schedule: cached ones are keyed by it.

XHKG, XTKS: the library gives today's lunch break to the whole past, and misses two days of 2023 without trading.
* Hong Kong 10:00-12:30, 14:30-16:00 until 2011-03-04; 9:30-12:00, 13:30-16:00 until 2012-03-02. Source: HKEx news
  releases 23 November 2010 "HKEx Decides to Extend Trading Hours" and 1 March 2012.
* Hong Kong closed all day on 2023-09-01 (typhoon Saola) and 2023-09-08 (black rainstorm). Source: South China Morning
  Post, article 3233800, 8 September 2023.
* Tokyo's morning ended at 11:00 until 2011-11-18. Source: Mainichi, 21 November 2011; Reuters JP, 21 June 2011.

CME_EQUITY: CMES in the library is 17:00-17:00 Chicago for every product. Equity index futures, in New York time:
* halt 16:15-16:30 until trade date 2021-06-25. Source: CME Globex Notices 20210621, "effective June 28" (also
  pandas_market_calendars issue 477).
* closed 17:30-18:00 before trade date 2012-11-19, with nothing after 16:15 on Fridays; 17:15-18:00 from then on.
  Source: CME notice "Equity Index Later Close for CME Globex Trading Day", November 2012.
* closed 17:00-18:00 since trade date 2015-09-21. Source: NinjaTrader Advisory 25, 15 September 2015, quoting CME.
* on a day that is a holiday of the New York Stock Exchange trading ends at 11:30, since Memorial Day 2014 at 13:00. Source:
  CME press releases 10 January 2006 and 20 August 2007, ZeroHedge 20 January 2014 (11:30); CME holiday schedules as
  quoted by ForexLive 17 June 2024 and 19 January 2025 (13:00); the year from pandas_market_calendars, CME Globex Equities.
* on its half days trading ends at 13:15. Source: CME Globex schedule of 3 July 2013 (TransAct, 28 June 2013);
  QuantConnect/Lean pull request 9807 (2023 and 2024).
* single days: `SHORT_DAYS`.
Before 2012-11-19 CME counted 16:30-17:30 to the next trade date; here it ends the session whose date it carries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

OVERLAY_VERSION = 1

CME_EQUITY = "CME_EQUITY"
CME_EQUITY_BASE = "CMES"
CME_EQUITY_HOLIDAYS = "XNYS"
CME_EQUITY_EARLIEST = date(2000, 1, 1)


class Break(NamedTuple):
    """A lunch break in the exchange's zone, on sessions up to `last` (and after the entry before)."""

    last: date
    start: time
    end: time


BREAKS: Mapping[str, tuple[Break, ...]] = {
    "XHKG": (
        Break(date(2011, 3, 4), time(12, 30), time(14, 30)),
        Break(date(2012, 3, 2), time(12, 0), time(13, 30)),
    ),
    "XTKS": (Break(date(2011, 11, 18), time(11, 0), time(12, 30)),),
}

CLOSED: Mapping[str, tuple[date, ...]] = {"XHKG": (date(2023, 9, 1), date(2023, 9, 8))}


def amend(name: str, zone: str, days: pl.DataFrame) -> pl.DataFrame:
    """The `days` of calendar `name` with its dated breaks and closures.

    `days` has one row a session: session, open, break_start, break_end, close, early_close.
    """
    days = days.filter(~pl.col("session").is_in(CLOSED.get(name, ())))
    for rule in reversed(BREAKS.get(name, ())):  # the earliest one has the last word
        applies = (pl.col("session") <= rule.last) & pl.col("break_start").is_not_null()
        days = days.with_columns(
            pl.when(applies).then(_at(rule.start, zone)).otherwise(pl.col("break_start")).alias("break_start"),
            pl.when(applies).then(_at(rule.end, zone)).otherwise(pl.col("break_end")).alias("break_end"),
        )
    return days


def _at(clock: time, zone: str) -> pl.Expr:
    local = pl.col("session").dt.combine(clock, time_unit="us")
    return local.dt.replace_time_zone(zone).dt.convert_time_zone("UTC")


# ------------------------------------------------------------------------------------------------ CME equity index

NEW_YORK = ZoneInfo("America/New_York")
REOPEN = time(18, 0)
HALT = (time(16, 15), time(16, 30))
HALF_DAY_CLOSE = time(13, 15)


@dataclass(frozen=True, slots=True)
class Hours:
    """CME equity index hours in New York time from trade date `since` on."""

    since: date
    close: time
    friday_close: time
    holiday_close: time
    halt: bool


HOURS = (
    Hours(date(2000, 1, 1), time(17, 30), time(16, 15), time(11, 30), halt=True),
    Hours(date(2012, 11, 19), time(17, 15), time(17, 15), time(11, 30), halt=True),
    Hours(date(2014, 5, 26), time(17, 15), time(17, 15), time(13, 0), halt=True),
    Hours(date(2015, 9, 21), time(17, 0), time(17, 0), time(13, 0), halt=True),
    Hours(date(2021, 6, 28), time(17, 0), time(17, 0), time(13, 0), halt=False),
)

SHORT_DAYS: Mapping[date, time] = {
    # Good Friday with an employment report: pandas_market_calendars, CME Globex Equities; DayTradeToWin, 2 April 2015
    date(2010, 4, 2): time(9, 15),
    date(2012, 4, 6): time(9, 15),
    date(2015, 4, 3): time(9, 15),
    date(2021, 4, 2): time(9, 15),
    date(2023, 4, 7): time(9, 15),
    # hurricane Sandy: CME Group press release, 29 October 2012
    date(2012, 10, 29): time(9, 15),
    date(2012, 10, 30): time(9, 15),
    # national days of mourning: CME Group press releases, 2 December 2018 and 30 December 2024
    date(2018, 12, 5): time(9, 30),
    date(2025, 1, 9): time(9, 30),
}
"""Trade dates with a close of their own, New York time; CMES in the library counts most of them as closed."""

NOT_TRADED = frozenset(date(2001, 9, d) for d in (11, 12, 13, 14))
"""Closed after the attacks; CMES in the library counts them as sessions. Source: NYSE and CME reopened on the 17th."""


def cme_equity(sessions: list[date], stock: Mapping[date, bool], first: date, last: date) -> pl.DataFrame:
    """Segments of the CME equity index sessions from `first` to `last`, in the schema of a schedule's frame.

    `sessions` are those of CMES; `stock` maps each session of the New York Stock Exchange to whether it is a half day.
    """
    extra = {day for day in SHORT_DAYS if first <= day <= last}
    rows: list[tuple[date, int, datetime, datetime, bool]] = []
    for day in sorted((set(sessions) | extra) - NOT_TRADED):
        hours = next(h for h in reversed(HOURS) if h.since <= day)
        close, early = _cme_close(day, hours, stock)
        start = _new_york(day - timedelta(days=1), REOPEN)
        end = _new_york(day, close)
        if hours.halt and close > HALT[1]:
            segments = [(start, _new_york(day, HALT[0])), (_new_york(day, HALT[1]), end)]
        else:
            segments = [(start, end)]
        rows += [(day, k, a, b, early) for k, (a, b) in enumerate(segments)]
    columns = ("session", "segment", "open", "close", "early_close")
    kinds = (pl.Date(), pl.Int32(), pl.Datetime("us", "UTC"), pl.Datetime("us", "UTC"), pl.Boolean())
    return pl.DataFrame(rows, schema=dict(zip(columns, kinds, strict=True)), orient="row")


def _cme_close(day: date, hours: Hours, stock: Mapping[date, bool]) -> tuple[time, bool]:
    """New York time at which trade date `day` ends, and whether that is early."""
    if day in SHORT_DAYS:
        return SHORT_DAYS[day], True
    if day not in stock:
        return hours.holiday_close, True
    if stock[day]:
        return HALF_DAY_CLOSE, True
    return (hours.friday_close if day.weekday() == 4 else hours.close), False


def _new_york(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, NEW_YORK)
