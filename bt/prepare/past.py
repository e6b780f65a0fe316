"""What `at_open` is told of earlier sessions: bars of any interval, read back once and then moved on session by session.

Daily bars come through the cache (`bt.prepare.days`), others from the minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.errors import StrategyError
from bt.model import slot_times
from bt.prepare.columns import grouped_minutes, resampled
from bt.prepare.days import DailyBars
from bt.prepare.quantities import Past as PastSessions
from bt.prepare.quantities import consecutive
from bt.prepare.window import Minutes
from bt.schema import BAR_COLUMNS, DAY, MINUTE, OPTIONAL_COLUMNS, interval_minutes

IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass
class _Kept:
    """What was asked for of one interval and some columns: a frame by session, of the symbols marked in `codes`, in the terms of session `at`.

    `reach` is how many sessions back was ever asked for, `at` the session that last asked. Frames are sorted by code and time.
    """

    codes: Mask
    reach: int = 0
    at: int = -1
    frames: dict[int, pl.DataFrame] = field(default_factory=dict)


class PastBars:
    """Bars of past sessions of one strategy. What was asked for is kept and moves on with the sessions: only the session that
    has passed since is read, and symbols that have come.

    It reads by cursors of its own, so that a window may be prepared on another thread meanwhile.
    """

    def __init__(self, past: PastSessions, last: int) -> None:
        self._past = past
        self._store = past.store
        self._kept: dict[tuple[int, tuple[str, ...]], _Kept] = {}
        self._names = pl.Series("symbol", past.store.symbols, dtype=pl.String)
        self._chunk = past.at_once
        self._days = DailyBars(past, last)

    def at(self, session: int, codes: IntArray | None, owner: str) -> Past:
        """What a strategy may ask at the open of session number `session`; `codes` are the symbols it may see, None all."""
        return Past(self, session, codes, owner)

    @property
    def optional(self) -> tuple[str, ...]:
        """Bar columns that the data has beyond the usual ones."""
        return tuple(c for c in self._store.extra_columns if c in OPTIONAL_COLUMNS)

    def frame(
        self, interval: int, columns: tuple[str, ...], first: int, at: int, codes: IntArray | None
    ) -> pl.DataFrame:
        """The bars of sessions `first` to `at` - 1: symbol, session, open_time, close_time, `columns`; by symbol and time."""
        wanted = np.zeros(len(self._names), dtype=bool)
        wanted[slice(self._store.candidates) if codes is None else codes] = True
        if interval == DAY:
            return self._named(self._days.frame(columns, first, at, wanted))
        kept = self._moved(self._kept.setdefault((interval, columns), _Kept(wanted)), at, at - first, wanted)
        joined = wanted & ~kept.codes
        if joined.any() and kept.frames:
            for a, b in consecutive(sorted(kept.frames), self._chunk):
                for number, more in self._read(interval, columns, (a, b, at), joined):
                    both = pl.concat([kept.frames[number], more])
                    kept.frames[number] = both.sort("code", maintain_order=True)
        kept.codes |= wanted
        missing = [number for number in range(first, at) if number not in kept.frames]
        for a, b in consecutive(missing, self._chunk):
            kept.frames.update(self._read(interval, columns, (a, b, at), kept.codes))
        frames = [kept.frames[number] for number in range(first, at)]
        if not frames:
            frames = [self._empty(interval, columns)]
        return self._named(pl.concat(frames).sort("code", maintain_order=True))

    def _moved(self, kept: _Kept, at: int, sessions: int, wanted: Mask) -> _Kept:
        """Forget what no later call looks back to, and the symbols that have left."""
        kept.reach = max(kept.reach, sessions)
        if kept.at != at:
            changed = self._changed(kept.at, at)
            kept.at = at
            if len(changed) and kept.frames:
                kept.codes[changed] = False
                stale = pl.Series(changed, dtype=pl.Int64)
                kept.frames = {n: f.filter(~pl.col("code").is_in(stale)) for n, f in kept.frames.items()}
            kept.frames = {n: f for n, f in kept.frames.items() if n >= at - kept.reach}
            if (kept.codes & ~wanted).any():
                kept.codes &= wanted
                stay = pl.Series(np.flatnonzero(kept.codes), dtype=pl.Int64)
                kept.frames = {n: f.filter(pl.col("code").is_in(stay)) for n, f in kept.frames.items()}
        return kept

    def _changed(self, before: int, at: int) -> IntArray:
        """The symbols whose past is told in other terms than when it was last asked for."""
        terms = self._past.terms
        return np.zeros(0, dtype=np.int64) if terms is None or before < 0 else terms.affected(before, at)

    def _read(
        self, interval: int, columns: tuple[str, ...], span: tuple[int, int, int], codes: Mask
    ) -> list[tuple[int, pl.DataFrame]]:
        """The bars of the sessions from the first number in `span` to the second in the terms of the third, a frame each."""
        a, b, at = span
        names = None if codes.all() else [self._store.symbols[code] for code in np.flatnonzero(codes).tolist()]
        minutes = self._past.history(at, a, b, columns or ("close",), names)
        return list(enumerate(self._frames(minutes, interval, columns), a))

    @staticmethod
    def _frames(minutes: Minutes, interval: int, columns: tuple[str, ...]) -> list[pl.DataFrame]:
        bars = grouped_minutes(minutes) if interval == 1 else resampled(minutes, {interval: columns})[interval]
        edges = bars.grouping.edges(len(minutes.sessions))
        frames = []
        for session, low, high in zip(minutes.sessions, edges, edges[1:], strict=False):
            opens, rows = slot_times(session), slice(int(low), int(high))
            days = pl.Series("session", [session.name], dtype=pl.Date).new_from_index(0, int(high - low))
            frames.append(
                bars.frame[rows].select(
                    pl.Series("code", bars.code[rows], dtype=pl.Int64),
                    days,
                    pl.Series("open_time", opens[bars.begin[rows]], dtype=pl.Int64),
                    pl.Series("close_time", opens[bars.end[rows] - 1] + MINUTE, dtype=pl.Int64),
                    *columns,
                )
            )
        return frames

    def _empty(self, interval: int, columns: tuple[str, ...]) -> pl.DataFrame:
        """No bar, in the right types."""
        return self._read(interval, columns, (0, 0, 0), np.ones(len(self._names), dtype=bool))[0][1].clear()

    def _named(self, frame: pl.DataFrame) -> pl.DataFrame:
        names = self._names.gather(frame["code"].cast(pl.UInt32))
        times = pl.col("open_time", "close_time").cast(pl.Datetime("us", "UTC"))
        return frame.with_columns(times).drop("code").insert_column(0, names)


class Past:
    """Earlier sessions as `at_open` may ask for them. See `bt.strategy.Past`."""

    def __init__(self, bars: PastBars, session: int, codes: IntArray | None, owner: str) -> None:
        self._bars: PastBars | None = bars
        self._session = session
        self._codes = codes
        self._owner = owner

    def __call__(self, interval: str, sessions: int, columns: str | Sequence[str] = BAR_COLUMNS) -> pl.DataFrame:
        """The bars of the sessions before this one."""
        if self._bars is None:
            raise StrategyError(
                f"{self._owner}: past must be asked inside at_open, was asked later; keep the frame it gives"
            )
        given: object = sessions
        if isinstance(given, bool) or not isinstance(given, int | np.integer) or sessions < 1:
            raise StrategyError(f"{self._owner}: past sessions must be a whole number >= 1, was {sessions!r}")
        try:
            minutes = interval_minutes(interval)
        except (ValueError, TypeError):
            raise StrategyError(
                f'{self._owner}: past interval must be like "1m", "15m" or "1d", was {interval!r}'
            ) from None
        asked = (columns,) if isinstance(columns, str) else tuple(dict.fromkeys(columns))
        known = (*BAR_COLUMNS, *(self._bars.optional if minutes == 1 else ()))
        for column in asked:
            if column not in known:
                raise StrategyError(
                    f"{self._owner}: past columns of {interval} must be among {', '.join(known)}, was {column!r}"
                )
        first = max(self._session - int(sessions), 0)
        return self._bars.frame(minutes, asked, first, self._session, self._codes)

    def close(self) -> None:
        """The session is open: nothing is told any more."""
        self._bars = None
