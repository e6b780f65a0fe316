"""Which minutes symbols had in past sessions, as far back as completeness looks (`bt.completeness`).

`SessionPresence` keeps one count a symbol and session, which is all the quality table needs: counts of the sessions before the run
are cached beside the store. `MinutePresence` keeps a count for every minute and reads the minutes of those sessions back;
it is there when rows show completeness or a gate judges by it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.completeness import ABSENT, SESSIONS, Counts, usual
from bt.model import QualitySpec, Schedule
from bt.prepare.plan import Plan
from bt.prepare.window import Loader, Minutes
from bt.store import DailyCache

IntArray = npt.NDArray[np.int64]
Twice = npt.NDArray[np.int32]


class Usual(NamedTuple):
    """Twice the minutes that each symbol usually has in a session, 0 where that is not known: by the close, and by the end
    of each minute as (minutes, symbols), None where nobody asks."""

    whole: Twice
    by_minute: Twice | None


class Presence(Protocol):
    """Past sessions' minutes of a run, moving on session by session."""

    def start(self, at: int, codes: IntArray | None = None) -> None:
        """Bring it up to session number `at`; only `codes` will be asked for (None: all)."""

    def join(self, at: int, codes: IntArray) -> None:
        """Symbols that the window before lacked: their minutes of past sessions are read, at session number `at`."""

    def add(self, minutes: Minutes) -> list[Usual]:
        """Move through a window: what is usual in each session, before the session itself becomes a past one."""


class SessionPresence:
    """Counts of whole sessions, and of their first minutes up to the length of a shorter session of the run.

    Parameters
    ----------
    first, last : int
        The run's sessions.
    chunk : int
        Sessions to read together.
    """

    def __init__(
        self, schedule: Schedule, symbols: int, *, loader: Loader, cache: DailyCache, first: int, last: int, chunk: int
    ) -> None:
        self._schedule = schedule
        self._symbols = symbols
        self._loader = loader
        self._cache = cache
        self._chunk = min(chunk, SESSIONS)
        self._reach: dict[int, int] = {}  # length of a session: the first past session asked for its minutes
        for i in range(first, last + 1):
            self._reach.setdefault(schedule.session(i).minutes, max(i - SESSIONS, 0))
        self._days: dict[int, dict[int, Counts]] = {}  # by session, then length

    def start(self, at: int, codes: IntArray | None = None) -> None:  # noqa: ARG002 - what is remembered is of all symbols
        """Counts from the cache; what it lacks is read and remembered."""
        for length, reach in self._reach.items():
            numbers = range(reach, at)
            bounds = {self._schedule.names[i]: self._bounds(i) for i in numbers}
            frame, missing = self._cache.known(f"present-{length}", bounds)
            for i in numbers:
                self._days.setdefault(i, {})[length] = np.full(self._symbols, ABSENT, dtype=np.uint16)
            frames = [] if frame is None else [frame]
            stale = [self._schedule.index[day] for day in missing]
            starts = range(min(stale, default=at), at, self._chunk)
            fresh = [self._read(length, a, min(a + self._chunk, at) - 1) for a in starts]
            if fresh:
                made = pl.concat(fresh).filter(pl.col("session").is_in(missing))
                self._cache.add(f"present-{length}", {day: bounds[day] for day in missing}, made)
                frames.append(made)
            for (day,), rows in (g for f in frames for g in f.group_by("session")):
                self._days[self._schedule.index[day]][length][rows["code"].to_numpy()] = rows["present"].to_numpy()

    def join(self, at: int, codes: IntArray) -> None:
        """As `Presence.join`."""
        for i, minutes, number in _past(self._loader, max(at - SESSIONS, 0), at, self._chunk, codes):
            for length, counts in self._days[i].items():
                counts[codes] = _counts(minutes, number, length)[codes]

    def _bounds(self, i: int) -> tuple[int, int]:
        return int(self._schedule.open[i]), int(self._schedule.close[i])

    def _read(self, length: int, first: int, last: int) -> pl.DataFrame:
        """Counts of some sessions: session, code and present; no row for a symbol that the session lacks."""
        minutes = self._loader.history(first, last, ())
        frames = []
        for number, session in enumerate(minutes.sessions):
            counts = _counts(minutes, number, length)
            code = np.flatnonzero(counts != ABSENT)
            day = pl.Series("session", [session.name], dtype=pl.Date).new_from_index(0, len(code))
            frames.append(pl.DataFrame({"session": day, "code": code.astype(np.uint16), "present": counts[code]}))
        return pl.concat(frames)

    def add(self, minutes: Minutes) -> list[Usual]:
        """As `Presence.add`."""
        made = []
        for number, session in enumerate(minutes.sessions):
            at = minutes.first + number
            past = [self._days[i][session.minutes] for i in range(max(at - SESSIONS, 0), at)]
            made.append(Usual(usual(_stacked(past, (self._symbols,))), None))
            self._days[at] = {length: _counts(minutes, number, length) for length in self._reach}
            self._days.pop(at - SESSIONS, None)
        return made


class MinutePresence:
    """Counts by the end of every minute.

    Parameters
    ----------
    chunk : int
        Sessions to read together.
    """

    def __init__(self, symbols: int, *, loader: Loader, chunk: int) -> None:
        self._symbols = symbols
        self._loader = loader
        self._chunk = min(chunk, SESSIONS)
        self._days: deque[Counts] = deque(maxlen=SESSIONS)

    def start(self, at: int, codes: IntArray | None = None) -> None:
        """Read the minutes of the sessions before."""
        for _, minutes, number in _past(self._loader, max(at - SESSIONS, 0), at, self._chunk, codes):
            self._days.append(_by_slot(minutes, number))

    def join(self, at: int, codes: IntArray) -> None:
        """As `Presence.join`."""
        for i, minutes, number in _past(self._loader, at - len(self._days), at, self._chunk, codes):
            self._days[i - at][:, codes] = _by_slot(minutes, number)[:, codes]

    def add(self, minutes: Minutes) -> list[Usual]:
        """As `Presence.add`."""
        made = []
        for number, session in enumerate(minutes.sessions):
            by_minute = self._by_minute(session.minutes)
            made.append(Usual(by_minute[-1], by_minute))
            self._days.append(_by_slot(minutes, number))
        return made

    def _by_minute(self, length: int) -> Twice:
        made = np.zeros((length, self._symbols), dtype=np.int32)
        for a in range(0, length, BLOCK):
            b = min(a + BLOCK, length)
            made[a:b] = usual(_stacked([_part(day, a, b) for day in self._days], (b - a, self._symbols)))
        return made


BLOCK = 32
"""Minutes whose medians are found at once: what is sorted then stays in the cache."""


def _past(
    loader: Loader, first: int, stop: int, chunk: int, codes: IntArray | None
) -> Iterator[tuple[int, Minutes, int]]:
    """Each of some past sessions, oldest first: its number, the minutes it is among, and its number there."""
    for a in range(first, stop, chunk):
        minutes = loader.history(a, min(a + chunk, stop) - 1, (), loader.names(codes))
        yield from ((a + number, minutes, number) for number in range(len(minutes.sessions)))


def _by_slot(minutes: Minutes, number: int) -> Counts:
    """The rows of each symbol in the window's session `number` up to the end of each minute; `ABSENT` without any row."""
    rows, length = minutes.at(number), minutes.sessions[number].minutes
    day = np.zeros((length, minutes.symbols), dtype=np.uint16)
    day[minutes.slot[rows], minutes.code[rows]] = 1
    np.cumsum(day, axis=0, out=day)
    day[:, day[-1] == 0] = ABSENT
    return day


def _part(day: Counts, first: int, stop: int) -> Counts:
    """Minutes `first` to `stop` of a session; one that was over before has all it had."""
    return day[np.minimum(np.arange(first, stop), len(day) - 1)]


def _stacked(past: Sequence[Counts], shape: tuple[int, ...]) -> Counts:
    return np.stack(past) if past else np.zeros((0, *shape), dtype=np.uint16)


def _counts(minutes: Minutes, number: int, length: int) -> Counts:
    """Each symbol's rows in the first `length` minutes of the window's session `number`; `ABSENT` without any row."""
    group = number * minutes.symbols
    whole = np.diff(minutes.bounds[group : group + minutes.symbols + 1])
    counts = whole.astype(np.uint16)
    if length < minutes.sessions[number].minutes:
        rows = minutes.at(number)
        early = minutes.code[rows][minutes.slot[rows] < length]
        counts = np.bincount(early, minlength=minutes.symbols).astype(np.uint16)
    counts[whole == 0] = ABSENT
    return counts


def presence_of(
    plan: Plan, gate: QualitySpec, schedule: Schedule, symbols: int, *, loader: Loader, cache: DailyCache, first: int, last: int, chunk: int
) -> Presence | None:  # fmt: skip
    """What a run of the sessions `first` to `last` needs: minutes one by one only where rows or the gate ask for completeness, none where nobody judges."""
    if plan.completeness_on or (gate.gate == "completeness" and gate.minimum > 0):
        return MinutePresence(symbols, loader=loader, chunk=chunk)
    if not plan.judged:
        return None
    return SessionPresence(schedule, symbols, loader=loader, cache=cache, first=first, last=last, chunk=chunk)
