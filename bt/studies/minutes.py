"""Bars on the exchange's own clock: minutes in which it trades, counted through sessions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.errors import UsageError
from bt.model import Int64Array, Schedule, instant
from bt.schema import MINUTE
from bt.sessions import TimeManager
from bt.studies.asked import eager, require

Floats = npt.NDArray[np.float64]

MOMENT = pl.Datetime("us", "UTC")
_PER_SYMBOL = 1 << 40
"""More minutes than any schedule has."""


class TradingMinutes:
    """Trading minutes counted from the open of the first session of a schedule; breaks, nights and holidays take none."""

    def __init__(self, schedule: Schedule, since: int = 0) -> None:
        self.schedule = schedule
        self.since = since
        """When the session before the first one closed, UTC microseconds."""
        length = (schedule.segment_close - schedule.segment_open) // MINUTE
        self._before = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
        self._session = np.repeat(np.arange(len(schedule)), np.diff(schedule.first_segment))
        self.opens = self._before[schedule.first_segment[:-1]]
        """Minutes before each session."""
        self.closes = self._before[schedule.first_segment[1:]]

    def closing(self, time: Int64Array, source: str) -> tuple[Int64Array, Int64Array]:
        """Session number and minutes counted at `time`, UTC microseconds at which bars close: each within ``(open, close]`` of a segment."""
        segment = np.searchsorted(self.schedule.segment_open, time, side="left") - 1
        inside = (segment >= 0) & (time <= self.schedule.segment_close[np.maximum(segment, 0)])
        return self._counted(segment, inside, time, source)

    def opening(self, time: Int64Array, source: str) -> tuple[Int64Array, Int64Array]:
        """The same of times at which bars open: each within ``[open, close)`` of a segment."""
        segment = np.searchsorted(self.schedule.segment_open, time, side="right") - 1
        inside = (segment >= 0) & (time < self.schedule.segment_close[np.maximum(segment, 0)])
        return self._counted(segment, inside, time, source)

    def _counted(
        self, segment: Int64Array, inside: npt.NDArray[np.bool_], time: Int64Array, source: str
    ) -> tuple[Int64Array, Int64Array]:
        if not inside.all():
            outside = instant(int(time[~inside][0]))
            raise UsageError(
                f"{source}: a bar must lie in a session of {self.schedule.calendar}, was one at {outside:%Y-%m-%d %H:%M} UTC; name the "
                "calendar of these bars by calendar="
            )
        counted = self._before[segment] + (time - self.schedule.segment_open[segment]) // MINUTE
        return self._session[segment], counted

    def early(self) -> npt.NDArray[np.bool_]:
        """Which sessions close early."""
        return self.schedule.frame["early_close"].gather(self.schedule.first_segment[:-1]).to_numpy()


@dataclass(frozen=True)
class Series:
    """Bars of all symbols sorted by symbol and time, with their times as trading minutes.

    `order` says which row of the frame each bar is; `code` numbers the sorted `symbols`; `opened` and `closed` are trading minutes;
    `group` is what a return may not leave: the symbol's session, or the symbol. `begin` is the open_time in UTC microseconds.
    """

    clock: TradingMinutes
    symbols: list[str]
    order: Int64Array
    code: Int64Array
    session: Int64Array
    opened: Int64Array
    closed: Int64Array
    group: Int64Array
    begin: Int64Array
    open: Floats
    close: Floats

    def last_closed(self, group: Int64Array, minute: Int64Array) -> Int64Array:
        """The last bar of each group that has closed when `minute` trading minutes are over; -1 where none has."""
        found = np.searchsorted(self._closed_key, group * _PER_SYMBOL + minute, side="right") - 1
        return self._own(found, group)

    def next_opened(self, group: Int64Array, minute: Int64Array) -> Int64Array:
        """The first bar of each group that opens when `minute` trading minutes are over, or later; -1 without one."""
        found = np.searchsorted(self._opened_key, group * _PER_SYMBOL + minute, side="left")
        return self._own(np.where(found < len(self.group), found, -1), group)

    def _own(self, found: Int64Array, group: Int64Array) -> Int64Array:
        if not len(self.group):
            return np.full(len(group), -1)
        return np.where((found >= 0) & (self.group[found] == group), found, -1)

    @cached_property
    def _closed_key(self) -> Int64Array:
        return self.group * _PER_SYMBOL + self.closed

    @cached_property
    def _opened_key(self) -> Int64Array:
        return self.group * _PER_SYMBOL + self.opened


def series(
    bars: pl.DataFrame | pl.LazyFrame, calendar: str, source: str, *, apart: bool
) -> tuple[pl.DataFrame, Series]:
    """The frame of `bars` and its bars as a `Series`; `apart` keeps sessions apart.

    Raises
    ------
    UsageError
        Columns are missing or of the wrong type, a price is null, bars of a symbol overlap, or one lies outside every session.
    CalendarError
        An unknown calendar.
    """
    frame = eager(bars)
    require(
        frame,
        {"symbol": pl.String, "open_time": MOMENT, "close_time": MOMENT, "open": pl.Float64, "close": pl.Float64},
        source,
    )
    symbols = frame["symbol"].unique().sort().to_list()
    code = frame["symbol"].cast(pl.Enum(symbols)).to_physical().to_numpy().astype(np.int64)
    begin, end = (frame[c].to_physical().to_numpy().astype(np.int64) for c in ("open_time", "close_time"))
    order = np.lexsort((begin, code))
    code, begin, end = code[order], begin[order], end[order]
    overlaps = (code[1:] == code[:-1]) & (begin[1:] < end[:-1])
    if overlaps.any():
        at = int(np.flatnonzero(overlaps)[0]) + 1
        raise UsageError(
            f"{source}: a symbol's bars must not overlap, did for {symbols[code[at]]} at {instant(int(begin[at])):%Y-%m-%d %H:%M} UTC; give bars "
            "of one interval, each once"
        )
    clock = trading_minutes(begin, end, calendar)
    session, closed = clock.closing(end, source)
    _, opened = clock.opening(begin, source)
    group = code * len(clock.schedule) + session if apart else code
    prices = (frame[c].to_numpy()[order] for c in ("open", "close"))
    return frame, Series(clock, symbols, order, code, session, opened, closed, group, begin, *prices)


def trading_minutes(begin: Int64Array, end: Int64Array, calendar: str) -> TradingMinutes:
    """The clock of the sessions around some bars, which open at `begin` and close at `end` (UTC microseconds)."""
    time = TimeManager(calendar)
    day = timedelta(days=7)  # a session is sure to be among them
    if not len(begin):
        return TradingMinutes(time.schedule(time.earliest, time.earliest + day))
    first, last = instant(int(begin.min())).date(), instant(int(end.max())).date()
    schedule = time.schedule(max(first - day, time.earliest), last + day)
    held = [i for i in range(len(schedule)) if schedule.close[i] > begin.min() and schedule.open[i] < end.max()]
    if not held:
        return TradingMinutes(schedule)
    rows = schedule.first_segment
    a, b = int(rows[held[0]]), int(rows[held[-1] + 1])
    since = int(schedule.close[held[0] - 1]) if held[0] else 0
    return TradingMinutes(Schedule(schedule.calendar, schedule.zone, schedule.frame.slice(a, b - a)), since)
