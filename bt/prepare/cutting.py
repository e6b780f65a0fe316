"""How many sessions are read and computed together: no result depends on it, speed and memory do."""

from __future__ import annotations

from typing import NamedTuple

from bt.model import Schedule, SessionSpec
from bt.schema import MINUTE
from bt.store import Store

WINDOW_ROWS = 500_000
"""A window of many more bars is slower, not faster: its columns leave the processor's cache and its blocks the allocator's
(docs/decisions/0006)."""

AMPLE_ROWS, AMPLE_SESSIONS = 200_000, 60
"""Where nobody has said how many sessions: as many as hold so many bars, but no more than these. A window costs some ten milliseconds, however little is in it."""

_THIN = 4
"""A symbol that trades in few minutes counts as if it did in every fourth one: some columns have a place for each minute."""


class Breadth(NamedTuple):
    """What a session holds, on average: bars, and minutes of all symbols together."""

    bars: float
    minutes: float


def breadth_of(store: Store, schedule: Schedule, first: int, last: int) -> Breadth:
    """Of the sessions `first` to `last` of a schedule."""
    sessions = last - first + 1
    bars = store.rows_within(int(schedule.open[first]), int(schedule.close[last]))
    segments = slice(*schedule.first_segment[[first, last + 1]].tolist())
    minutes = int((schedule.segment_close[segments] - schedule.segment_open[segments]).sum()) // MINUTE
    return Breadth(bars / sessions, len(store.symbols) * minutes / sessions)


def ample(session: SessionSpec, breadth: Breadth) -> int:
    """Sessions of past bars that are read together: what the run asks for, or as many more as hold little."""
    if session.prefetch_given:
        return session.prefetch_days
    held = max(breadth.bars, breadth.minutes / _THIN, 1.0)
    return max(session.prefetch_days, min(AMPLE_SESSIONS, int(AMPLE_ROWS / held)))


def sessions_of_a_window(session: SessionSpec, breadth: Breadth) -> int:
    """The same for a window that is played, or as few as hold some half a million bars."""
    return max(1, min(ample(session, breadth), int(WINDOW_ROWS / max(breadth.bars, 1.0))))
