"""Every clock minute around some sessions: which session it belongs to and which minute of session it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.model import Int64Array, Schedule

MINUTE = 60_000_000
DAY = 1440 * MINUTE

SLOT_NO_SESSION = -1
SLOT_BEFORE_OPEN = -2
SLOT_IN_BREAK = -3
SLOT_AFTER_CLOSE = -5
"""Outside reasons: ``-1 - slot`` indexes ``bt.schema.OUTSIDE_REASONS``. Closing prints (-4) are told apart from other
rows after the close by their neighbours, so the clock alone never says -4."""


@dataclass(frozen=True, slots=True)
class MinuteTable:
    """What each clock minute means; row ``i`` is the minute ``[start + i min, start + (i + 1) min)``.

    Attributes
    ----------
    start : int
        UTC microseconds of the first minute, on a minute.
    session : int16 array
        Offset from the table's first session of the session that the minute belongs to.
    slot : int16 array
        Minute of session (0-based, breaks left out), or a negative ``SLOT_`` reason outside every segment.
    lead : int
        The ``SLOT_`` reason of the minute before `start`, for what of it comes after the midpoint.

    Notes
    -----
    Between two sessions a minute belongs as its label does: up to the midpoint of a close and the next open (included)
    to the earlier session. A midpoint off the minute grid (an odd distance) falls inside one minute; a row stamped off
    the grid in that very minute after the midpoint belongs to the later session although its minute does not. Who needs
    that precision compares with ``TimeManager.borders``.
    """

    start: int
    session: npt.NDArray[np.int16]
    slot: npt.NDArray[np.int16]
    lead: int


def midpoints(close: Int64Array, next_open: Int64Array) -> Int64Array:
    """Last microsecond that belongs to the earlier of two sessions: the midpoint, but always before the next open."""
    middle: Int64Array = np.minimum((close + next_open) // 2, next_open - 1)
    return middle


def lay_out(schedule: Schedule, sessions: range, borders: Int64Array, days: LocalDays) -> MinuteTable:
    """The minute table of the `sessions` (consecutive positions in `schedule`).

    `borders` has one entry more than there are sessions: session ``k`` owns the instants in
    ``(borders[k], borders[k + 1]]``.
    """
    edge = borders // MINUTE + 1  # first minute of each session, and the first one after the last session
    start = int(edge[0])
    led = np.full(int(edge[-1]) - start + 1, SLOT_BEFORE_OPEN, np.int16)
    slot = led[1:]
    for i, (a, b) in zip(sessions, pairwise((edge - start).tolist()), strict=True):
        rows = slice(int(schedule.first_segment[i]), int(schedule.first_segment[i + 1]))
        opens = (schedule.segment_open[rows] // MINUTE - start).tolist()
        closes = (schedule.segment_close[rows] // MINUTE - start).tolist()
        slot[a : opens[0]] = SLOT_BEFORE_OPEN
        slot[opens[0] : closes[-1]] = SLOT_IN_BREAK
        slot[closes[-1] : b] = SLOT_AFTER_CLOSE
        at = 0
        for o, c in zip(opens, closes, strict=True):
            slot[o:c] = np.arange(at, at + c - o, dtype=np.int16)
            at += c - o
    days.mark(led, start - 1)
    session = np.repeat(np.arange(len(sessions), dtype=np.int16), np.diff(edge))
    return MinuteTable(start * MINUTE, session, slot, int(led[0]))


class LocalDays:
    """The days of an exchange's zone over a schedule: when each begins, and whether it names a session."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        names = schedule.frame["session"]
        first, last = names[0] - timedelta(days=40), names[-1] + timedelta(days=40)
        days = pl.date_range(first, last, interval="1d", eager=True)
        self._begin = midnights(days, schedule.zone) // MINUTE
        self._named = days.is_in(names.unique().implode()).to_numpy()

    def mark(self, slot: npt.NDArray[np.int16], start: int) -> None:
        """Turn the outside minutes of days that name no session into ``SLOT_NO_SESSION``; `start` in minutes."""
        a = int(np.searchsorted(self._begin, start, "right")) - 1
        b = int(np.searchsorted(self._begin, start + len(slot), "left"))
        for day in range(max(a, 0), b):
            if not self._named[day]:
                part = slot[max(int(self._begin[day]) - start, 0) : int(self._begin[day + 1]) - start]
                part[part < 0] = SLOT_NO_SESSION


def midnights(days: pl.Series, zone: str) -> Int64Array:
    """UTC microseconds at which each of the `days` begins in `zone`.

    Where clocks jump forward at midnight the day begins at the jump; where midnight comes twice, at the first one.
    """
    naive = days.cast(pl.Datetime("us"))
    utc = naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    # the offset half a day earlier is the one in force until the jump
    before = (naive - timedelta(hours=12)).dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    begin = utc.dt.convert_time_zone("UTC").fill_null(before.dt.convert_time_zone("UTC") + timedelta(hours=12))
    return begin.to_physical().to_numpy().astype(np.int64)
