"""`TimeManager`: the single source of time."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np

from bt.caching import user_cache
from bt.errors import CalendarError
from bt.model import EPOCH, Int64Array, Schedule, Session, instant
from bt.sessions.cached import identity, read_window, schedule_file, write_window
from bt.sessions.custom import read_calendar
from bt.sessions.minutes import DAY, LocalDays, MinuteTable, lay_out, midpoints
from bt.sessions.window import Window, decades
from bt.sessions.xcals import build_window

PINNED = (date(2000, 1, 1), date(2029, 12, 31))
"""Every schedule covers at least this: it never depends on today's date."""

LAST_FULL_YEAR, YEARS = 2024, 10
"""The years over which `TimeManager.sessions_a_year` counts."""

ONE_DAY = timedelta(days=1)


class TimeManager:
    """The trading sessions of one calendar.

    Parameters
    ----------
    calendar : str
        A name of exchange_calendars (aliases resolve: NYSE is XNYS), ``CME_EQUITY`` (CMES with the hours of CME's equity
        index futures), or the path of a ``.parquet`` file with columns session, segment, open, close and optionally
        early_close (`bt.sessions.custom`).
    cache : Path, optional
        Folder in which built schedules are kept, by default the user's (`bt.caching.user_cache`).

    Attributes
    ----------
    calendar : str
        The calendar's own name, or the path of its file.
    zone : str
        The exchange's IANA time zone.

    Raises
    ------
    CalendarError
        An unknown name, or a file that does not exist; from the methods: a day, range or instant that the calendar does
        not know. A ``day`` must be a date, not a datetime.
    DataError
        A calendar file that cannot be used.

    Notes
    -----
    Days outside 2000-2029 are added on demand by whole decades, as far as the calendar knows them. The first use of a
    calendar imports exchange_calendars (1-2 s); afterwards its schedule is read from the cache.
    """

    def __init__(self, calendar: str, *, cache: Path | None = None) -> None:
        self._name = calendar
        self._days: LocalDays | None = None  # made when first asked for
        self._folder = user_cache() if cache is None else cache
        if calendar.lower().endswith(".parquet"):
            self._window = read_calendar(Path(calendar))
        else:
            self._window = self._load(*PINNED)
        self.calendar = self._all.calendar
        self.zone = self._all.zone

    @property
    def earliest(self) -> date:
        """The first day that the calendar knows."""
        return self._window.earliest

    @property
    def latest(self) -> date:
        """The last day that the calendar knows."""
        return self._window.latest

    @property
    def identity(self) -> str:
        """Another text if the calendar's sessions could be others: for what is cached by session."""
        if self._name.lower().endswith(".parquet"):
            return f"{self.calendar}-{hashlib.sha256(self._all.frame.write_ipc(None).getvalue()).hexdigest()[:16]}"
        return identity(self.calendar)

    @property
    def known(self) -> Schedule:
        """Every session of the decades that are loaded, 2000-2029 unless more was asked for."""
        return self._all

    # ------------------------------------------------------------------------------------------------ ranges

    def schedule(self, start: date, end: date) -> Schedule:
        """The sessions from `start` to `end`, both included; at least one."""
        known, a, b = self._range(start, end)
        if a == b:
            raise CalendarError(
                f"{self.calendar}: the range must hold a session, was {start} to {end}; {self._neighbours(start)}"
            )
        rows = known.first_segment
        frame = known.frame.slice(int(rows[a]), int(rows[b] - rows[a]))
        return Schedule(self.calendar, self.zone, frame)

    def sessions(self, start: date, end: date) -> list[date]:
        """The names of the sessions from `start` to `end`, both included; may be empty."""
        known, a, b = self._range(start, end)
        return known.names[a:b]

    def sessions_a_year(self) -> float:
        """Mean number of sessions in 365.25 days, over 2015-2024 or what the calendar knows of it.

        A calendar file that does not hold these years counts over its own whole weeks.
        """
        first = max(date(LAST_FULL_YEAR - YEARS + 1, 1, 1), self._window.earliest)
        last = min(date(LAST_FULL_YEAR, 12, 31), self._window.latest)
        if (last - first).days < 365:
            first, last = self._window.first, self._window.last
            weeks = -(-((last - first).days + 1) // 7)
            return len(self._all) / (7 * weeks) * 365.25
        return len(self.sessions(first, last)) / ((last - first).days + 1) * 365.25

    # ------------------------------------------------------------------------------------------------ one session

    def session(self, day: date) -> Session:
        """The session named `day`."""
        self._cover(day, day)
        known = self._all
        i = known.index.get(day)
        if i is None:
            raise CalendarError(f"{self.calendar}: day must be a session, was {day}; {self._neighbours(day)}")
        return known.session(i)

    def next(self, day: date) -> date:
        """The first session after `day`, which need not be one."""
        return self.offset(day, 1)

    def previous(self, day: date) -> date:
        """The last session before `day`, which need not be one."""
        return self.offset(day, -1)

    def offset(self, day: date, n: int) -> date:
        """The `n`-th session after `day`, or before it for a negative `n`; for 0 `day` itself, a session."""
        if n == 0:
            return self.session(day).name
        self._cover(day, day)
        while True:
            names = self._all.names
            i = bisect_right(names, day) + n - 1 if n > 0 else bisect_left(names, day) + n
            if 0 <= i < len(names):
                return names[i]
            if not self._grow(1 if n > 0 else -1):
                end = f"ends with {names[-1]}" if n > 0 else f"begins with {names[0]}"
                raise CalendarError(f"{self.calendar}: offset must stay in the calendar, was {n} from {day}; it {end}")

    def at(self, moment: datetime | int) -> Session | None:
        """The session whose ``[open, close)`` holds `moment` (aware, or UTC microseconds); breaks belong to it."""
        us = self._microseconds(moment)
        day = instant(us).date()
        if not self._window.earliest - ONE_DAY <= day <= self._window.latest + ONE_DAY:
            raise CalendarError(f"{self.calendar}: instant must be within {self._bounds()}, was {instant(us)}")
        self._cover(max(day - ONE_DAY, self._window.earliest), min(day + ONE_DAY, self._window.latest))
        known = self._all
        i = int(np.searchsorted(known.open, us, "right")) - 1
        if i < 0 or us >= known.close[i]:
            return None
        return known.session(i)

    def last_ended(self, moment: datetime | int) -> Session:
        """The last session whose close is at or before `moment` (aware, or UTC microseconds)."""
        us = self._microseconds(moment)
        day = instant(us).date()
        if not self._window.earliest <= day <= self._window.latest + ONE_DAY:
            raise CalendarError(f"{self.calendar}: instant must be within {self._bounds()}, was {instant(us)}")
        day = min(day, self._window.latest)
        self._cover(day, day)
        while True:
            known = self._all
            i = int(np.searchsorted(known.close, us, "right")) - 1
            if i >= 0:
                return known.session(i)
            if not self._grow(-1):
                raise CalendarError(
                    f"{self.calendar}: a session must have ended by {instant(us)}, was none; it begins with {known.names[0]}"
                )

    # ------------------------------------------------------------------------------------------------ every minute

    def borders(self, schedule: Schedule, first: int = 0, last: int = -1) -> Int64Array:
        """Where the rows of one session end and the next one's begin, UTC microseconds.

        Session ``k`` of `first` to `last` (positions in `schedule`, both included; negative from the end) owns the rows
        stamped in ``(borders[k], borders[k + 1]]``: up to the midpoint between a close and the next open (included) to
        the earlier session, but never the next open itself. Where the calendar ends, a day before the open and a day
        after the close.
        """
        return _borders(*self._positions(schedule, first, last))

    def minute_table(self, schedule: Schedule, first: int = 0, last: int = -1) -> MinuteTable:
        """What every clock minute means from the earlier midpoint of session `first` to the later one of `last`.

        `first` and `last` are positions in `schedule`, both included; negative ones count from the end.
        """
        known, at = self._positions(schedule, first, last)
        days = self._days
        if days is None or days.schedule is not known:
            self._days = days = LocalDays(known)
        return lay_out(known, at, _borders(known, at), days)

    def _positions(self, schedule: Schedule, first: int, last: int) -> tuple[Schedule, range]:
        """All that is known, both neighbours included unless the calendar ends there, and where the sessions are in it."""
        n = len(schedule)
        a, b = first + n * (first < 0), last + n * (last < 0)
        if not 0 <= a <= b < n:
            raise CalendarError(f"{self.calendar}: positions must be 0 <= first <= last < {n}, were {first} and {last}")
        if schedule.calendar != self.calendar:
            raise CalendarError(f"{self.calendar}: the schedule must be of this calendar, was of {schedule.calendar}")
        begin, end = schedule.names[a], schedule.names[b]
        self._cover(begin, end)
        while self._all.names[0] == begin and self._grow(-1):
            pass
        while self._all.names[-1] == end and self._grow(1):
            pass
        known = self._all
        return known, range(known.index[begin], known.index[end] + 1)

    # ------------------------------------------------------------------------------------------------ what is known

    @property
    def _all(self) -> Schedule:
        """Everything known. Read it once per answer: another thread may add a decade meanwhile."""
        return self._window.schedule

    def _load(self, first: date, last: date) -> Window:
        """The window from the cache, or built and kept there."""
        path = schedule_file(self._folder, self._name, first, last)
        window = read_window(path, first, last)
        if window is None:
            window = build_window(self._name, first, last)
            write_window(path, window)
        return window

    def _cover(self, first: date, last: date) -> None:
        """Make the days from `first` to `last` known, or say which bound is in the way."""
        for day in (first, last):
            if isinstance(day, datetime) or not isinstance(day, date):
                raise CalendarError(f"{self.calendar}: day must be a datetime.date, was {day!r}; use .date()")
        known = self._window
        for day, wrong, bound in (
            (first, first < known.earliest, f">= {known.earliest}"),
            (last, last > known.latest, f"<= {known.latest}"),
        ):
            if wrong:
                raise CalendarError(
                    f"{self.calendar}: day must be {bound}, was {day}; the calendar knows {self._bounds()}"
                )
        if first < known.first or last > known.last:
            self._window = self._load(*decades(min(first, known.asked_first), max(last, known.asked_last)))

    def _grow(self, step: int) -> bool:
        """Add a decade in front (-1) or behind (1); False where the calendar ends."""
        known = self._window
        if step > 0 and known.last < known.latest:
            self._cover(known.first, known.last + ONE_DAY)
        elif step < 0 and known.first > known.earliest:
            self._cover(known.first - ONE_DAY, known.last)
        return self._window is not known

    def _range(self, start: date, end: date) -> tuple[Schedule, int, int]:
        """All that is known, and in it the first session from `start` on and the first one after `end`."""
        self._cover(start, end)
        if start > end:
            raise CalendarError(f"{self.calendar}: start must be <= end {end}, was {start}; swap them")
        known = self._all
        return known, bisect_left(known.names, start), bisect_right(known.names, end)

    def _bounds(self) -> str:
        return f"{self._window.earliest} to {self._window.latest}"

    def _neighbours(self, day: date) -> str:
        """The sessions beside `day`, in words."""
        names = self._all.names
        before, after = bisect_left(names, day), bisect_right(names, day)
        previous = str(names[before - 1]) if before else "none known"
        following = str(names[after]) if after < len(names) else "none known"
        return f"the session before is {previous}, the one after {following}"

    def _microseconds(self, moment: datetime | int) -> int:
        if not isinstance(moment, datetime):
            return int(moment)
        if moment.tzinfo is None:
            raise CalendarError(f"{self.calendar}: instant must have a time zone, was {moment!r}; add tzinfo")
        return (moment - EPOCH) // timedelta(microseconds=1)


def _borders(known: Schedule, at: range) -> Int64Array:
    opens, closes = known.open, known.close
    first, last = at[0], at[-1]
    borders = np.empty(len(at) + 1, np.int64)
    borders[1:-1] = midpoints(closes[first:last], opens[first + 1 : last + 1])
    borders[0] = midpoints(closes[first - 1], opens[first]) if first else opens[first] - DAY - 1
    is_last = last + 1 == len(opens)
    borders[-1] = closes[last] + DAY if is_last else midpoints(closes[last], opens[last + 1])
    return borders
