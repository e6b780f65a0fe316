"""Sessions, the schedule of a calendar, and the clock inside a session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.errors import ClockError

Int64Array = npt.NDArray[np.int64]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(us: int) -> datetime:
    """The aware UTC datetime of `us` microseconds since the epoch."""
    return EPOCH + timedelta(microseconds=us)


@dataclass(frozen=True, slots=True)
class Session:
    """One trading day: ``[open, close)`` in UTC microseconds, its segments and how many minutes it trades.

    `segments` are half-open ``(open, close)`` pairs; a lunch break or a daily halt lies between two of them.
    `early_close` is True on a half day. `minutes` counts minutes inside segments.
    """

    name: date
    open: int
    close: int
    segments: tuple[tuple[int, int], ...]
    early_close: bool
    minutes: int


def slot_times(session: Session) -> Int64Array:
    """The open_time of every minute of the session, UTC microseconds."""
    return np.concatenate([np.arange(o, c, 60_000_000, dtype=np.int64) for o, c in session.segments])


@dataclass(frozen=True)
class Schedule:
    """The trading sessions of one calendar between two dates, as a frame.

    `frame` has one row per segment, sorted: session (Date), segment (Int32, 0-based), open, close (Datetime us UTC),
    early_close (Boolean). `zone` is the exchange's IANA time zone.
    """

    calendar: str
    zone: str
    frame: pl.DataFrame

    @cached_property
    def segment_open(self) -> Int64Array:
        """Open of every segment, UTC microseconds."""
        return self.frame["open"].to_physical().to_numpy().astype(np.int64)

    @cached_property
    def segment_close(self) -> Int64Array:
        """Close of every segment, UTC microseconds."""
        return self.frame["close"].to_physical().to_numpy().astype(np.int64)

    @cached_property
    def first_segment(self) -> Int64Array:
        """Row of each session's first segment, with the number of rows appended (length n + 1)."""
        first = np.flatnonzero(self.frame["segment"].to_numpy() == 0)
        return np.append(first, self.frame.height).astype(np.int64)

    @cached_property
    def names(self) -> list[date]:
        """The sessions' names, sorted."""
        of_segments = self.frame["session"].to_list()  # not gather, which imports numpy.ma
        return [of_segments[first] for first in self.first_segment[:-1].tolist()]

    @cached_property
    def index(self) -> dict[date, int]:
        """Position of each session by name."""
        return {name: i for i, name in enumerate(self.names)}

    @cached_property
    def open(self) -> Int64Array:
        """Open of every session, UTC microseconds."""
        return self.segment_open[self.first_segment[:-1]]

    @cached_property
    def close(self) -> Int64Array:
        """Close of every session, UTC microseconds."""
        return self.segment_close[self.first_segment[1:] - 1]

    def __len__(self) -> int:
        return len(self.first_segment) - 1

    def session(self, i: int) -> Session:
        """The i-th session."""
        a, b = int(self.first_segment[i]), int(self.first_segment[i + 1])
        segments = tuple((int(o), int(c)) for o, c in zip(self.segment_open[a:b], self.segment_close[a:b], strict=True))
        minutes = sum(c - o for o, c in segments) // 60_000_000
        early = bool(self.frame["early_close"][a])
        return Session(self.names[i], segments[0][0], segments[-1][1], segments, early, minutes)


class Clock:
    """Simulated or real time inside one session. It only moves forward and never past the close.

    Parameters
    ----------
    start, close : int
        UTC microseconds; the clock begins at `start` and `close` is the last instant it can show.

    Raises
    ------
    ClockError
        From `advance`, when time would go backwards or past `close`.
    """

    __slots__ = ("_close", "_now")

    def __init__(self, start: int, close: int) -> None:
        if start > close:
            raise ClockError(f"clock: start must be <= close {instant(close)}, was {instant(start)}")
        self._now = start
        self._close = close

    @property
    def now(self) -> int:
        """The present, UTC microseconds."""
        return self._now

    @property
    def close(self) -> int:
        """The session's close, UTC microseconds."""
        return self._close

    def advance(self, to: int) -> None:
        """Move to `to`, UTC microseconds."""
        if to < self._now:
            raise ClockError(f"clock: time must be >= {instant(self._now)}, was {instant(to)}; it never goes back")
        if to > self._close:
            raise ClockError(f"clock: time must be <= the close {instant(self._close)}, was {instant(to)}")
        self._now = to
