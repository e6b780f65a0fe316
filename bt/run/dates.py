"""Relative dates made absolute, once, before anything is replayed: the specification and its hash know dates only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime

from bt.config import sessions_back
from bt.errors import CalendarError, DataError, UsageError
from bt.model import EPOCH, Session, SessionSpec, instant
from bt.schema import MINUTE
from bt.sessions import TimeManager
from bt.store import Store

HABIT, FEWEST, FAR = 20, 5, 2
"""A thin store's last bars: over how many earlier sessions, at least how many, and in how many as far from the close."""

DAY = 1440 * MINUTE

FEW, MANY = DAY, 64 * DAY
"""How far back a last row is looked for at once, first and at most."""


def resolved(session: SessionSpec, time: TimeManager, store: Store, now: datetime | None = None) -> SessionSpec:
    """`session` with dates for its words.

    ``end = "last"`` is the last complete session of the store (`last_complete`), ``"previous"`` the last one that has
    ended before `now` (aware, the present by default), by the calendar. ``start = "-60 sessions"`` is the first of so
    many sessions up to and including the end.

    Raises
    ------
    UsageError
        The start lies after the end, or before the calendar begins.
    DataError
        No session of the store is complete.
    """
    end = session.end
    if isinstance(end, str):
        last = last_complete(time, store) if end == "last" else time.last_ended(now or datetime.now(UTC))
        end = last.name
    start = session.start
    if isinstance(start, str):
        start = _back(time, end, sessions_back(start))
    if start > end:
        asked = end if session.end == end else f"{end} (session.end = {session.end!r})"
        raise UsageError(f"session.start: it must be on or before the end {asked}, was {start}; both are included")
    return replace(session, start=start, end=end)


def check_dates(session: SessionSpec, time: TimeManager) -> None:
    """Refuse dates that the calendar does not know, before files are read; words are judged when they are resolved.

    Raises
    ------
    CalendarError
        The range holds no session, or the calendar does not reach so far.
    """
    known = [day for day in (session.start, session.end) if not isinstance(day, str)]
    if len(known) == 2:
        time.schedule(*known)
    elif known:
        time.sessions(known[0], known[0])


def _back(time: TimeManager, end: date, count: int) -> date:
    """The first of `count` sessions up to and including `end`, which need not be one."""
    try:
        return time.offset(end, 1 - count) if time.sessions(end, end) else time.offset(end, -count)
    except CalendarError as error:
        raise UsageError(
            f"session.start: it must reach back to a session of the calendar, was -{count} sessions from {end}; {error}"
        ) from error


def last_complete(time: TimeManager, store: Store) -> Session:
    """The last session of which every row is there: the store's data, of whatever symbol, reaches its close.

    It does if a row is stamped in its last minute or later. A store of thin symbols may have none so late in any
    session: there it also does if the last row lies no farther from the close than in two of the twenty sessions
    before. A session cut short is left out then too, for nothing tells that it is not. One without a row is not there,
    whatever comes after it, and neither is what the calendar does not know.

    Raises
    ------
    DataError
        No session of the store is complete.
    """
    first = max(min(store.first.values()), _midnight(time.earliest))
    beyond = _midnight(time.latest) + DAY
    session = time.at(store.reach) if store.reach < beyond else None
    if session is not None and store.reach >= session.close - MINUTE:
        return session
    with _every_symbol(store) as whole:
        row = store.reach if store.reach < beyond else _last_row(whole, first, beyond)
        while row is not None and row >= first:
            session = time.at(row)
            if session is None or not (row >= session.close - MINUTE or _as_usual(time, whole, session, row)):
                session = time.last_ended(row)
                row = _last_row(whole, first, session.close)
            if row is not None and row >= session.open:
                return session
    raise DataError(
        f"{store.data.bars}: a session must be complete for session.end = 'last', was none; the data is "
        f"{instant(min(store.first.values())):%Y-%m-%d %H:%M} to {instant(store.reach):%Y-%m-%d %H:%M} UTC: give dates"
    )


def _midnight(day: date) -> int:
    """The beginning of a day, UTC microseconds."""
    return (day - EPOCH.date()).days * DAY


@contextmanager
def _every_symbol(store: Store) -> Iterator[Store]:
    """The store with all symbols of its files."""
    if store.data.symbols is None:
        yield store
        return
    whole = Store.open(replace(store.data, symbols=None))
    try:
        yield whole
    finally:
        whole.close()


def _last_row(store: Store, start: int, end: int) -> int | None:
    """The last row stamped in ``[start, end)``, UTC microseconds; None where there is none. Looked for from the end back, stretch by stretch."""
    length = FEW
    while start < end:
        times = store.read(max(start, end - length), end, [])["time"]
        if len(times):
            return int(times.max())  # type: ignore[arg-type]
        end, length = end - length, min(2 * length, MANY)
    return None


def _as_usual(time: TimeManager, whole: Store, session: Session, row: int) -> bool:
    """Whether earlier sessions too had their last row as far from the close as `session` has `row`."""
    short = session.close - row
    first = min(whole.first.values())
    judged = far = 0
    before = session
    while judged < HABIT and (judged < FEWEST or far < FAR) and before.open > first:
        before = time.session(time.previous(before.name))
        times = whole.read(before.open, before.close, [])["time"]
        if len(times):
            judged += 1
            far += before.close - int(times.max()) >= short  # type: ignore[arg-type]
    return judged >= FEWEST and far >= FAR
