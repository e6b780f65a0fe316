"""Daily bars of past sessions, of all candidates: values that trailing indicators share, through the cache beside the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.prepare.quantities import IntArray, Past, Quantity, aggregated, consecutive, known, read
from bt.schema import PRICES

VALUES_AHEAD = 1_000_000
"""About so many cached values of a column are kept ahead of the session that asks."""
MINUTES_AHEAD = 50_000_000
"""About so many minute bars are read ahead at once where the cache lacks a session: one at a time, the cache would be written anew
for each."""

Values = tuple[IntArray, npt.NDArray[Any]]
"""Codes, sorted, and a value of each."""


class DailyBars:
    """Moves on session by session. What lies ahead is kept in blocks and told to nobody; `last` is the run's last session.

    It may be asked on one thread while another prepares a window.
    """

    def __init__(self, past: Past, last: int) -> None:
        self._past = past
        self._last = last
        self._reach = 0
        self._values: dict[str, dict[int, Values]] = {}
        self._told_at: dict[str, dict[int, int]] = {}

    def frame(self, columns: Sequence[str], first: int, at: int, wanted: npt.NDArray[np.bool_]) -> pl.DataFrame:
        """The bars of the sessions `first` to `at` - 1 of the symbols marked in `wanted`, by code and time.

        Columns code, session (Date), open_time and close_time (UTC microseconds), `columns`.
        """
        names = tuple(columns) or ("close",)
        self._bring(names, first, at)
        self._tell_at(names, first, at)
        self._forget(first, at)
        schedule, numbers = self._past.schedule, np.arange(first, at)
        by_session = [self._values[names[0]][n][0] for n in range(first, at)]
        code = np.concatenate([np.zeros(0, dtype=np.int64), *by_session])
        session = np.repeat(numbers, [len(codes) for codes in by_session])
        rows = np.flatnonzero(wanted[code])
        rows = rows[np.argsort(code[rows], kind="stable")]
        session = session[rows]
        days = pl.Series("session", schedule.names[first:at], dtype=pl.Date).gather(session - first)
        made = {
            "code": pl.Series(code[rows]),
            "session": days,
            "open_time": pl.Series(schedule.open[session], dtype=pl.Int64),
            "close_time": pl.Series(schedule.close[session], dtype=pl.Int64),
        }
        for name in columns:
            values = [self._values[name][n][1] for n in range(first, at)]
            made[name] = pl.Series(np.concatenate([np.zeros(0, dtype=self._type(name)), *values])[rows])
        return pl.DataFrame(made)

    def _tell_at(self, columns: Sequence[str], first: int, at: int) -> None:
        """The sessions `first` to `at` - 1 are told in the terms of session number `at`: bars of symbols for which these have changed since are made
        anew from the minutes."""
        terms = self._past.terms
        if terms is None:
            return
        now = terms.epoch(at)
        for column in columns:
            told = self._told_at.setdefault(column, {})
            stale = [n for n in range(first, at) if terms.epoch(told.get(n, n)) != now]
            if stale:
                self._make_anew(column, stale, terms.affected(min(told.get(n, n) for n in stale), at), at)
            told.update(dict.fromkeys(range(first, at), at))

    def _make_anew(self, column: str, sessions: Sequence[int], codes: IntArray, at: int) -> None:
        """The values of some symbols in some sessions, in the terms of session number `at`."""
        past, quantity = self._past, Quantity.bar(column)
        for a, b in consecutive(sessions, past.at_once):
            minutes = past.history(at, a, b, quantity.columns, past.loader.names(codes))
            table = aggregated(minutes, [quantity]).rename({column: "value"})
            for session in minutes.sessions:
                rows = table.filter(pl.col("session") == session.name)
                self._patch(column, past.schedule.index[session.name], codes, rows)

    def _patch(self, column: str, number: int, changed: IntArray, rows: pl.DataFrame) -> None:
        """A session's values of some symbols are others."""
        code, value = self._values[column][number]
        stays = ~np.isin(code, changed)
        codes = np.concatenate([code[stays], rows["code"].to_numpy().astype(np.int64)])
        values = np.concatenate([value[stays], rows["value"].to_numpy().astype(self._type(column))])
        order = np.argsort(codes, kind="stable")
        self._values[column][number] = codes[order], values[order]

    def _type(self, column: str) -> type[np.int64 | np.float64]:
        """What minutes have: a cached value may have been made when all volumes, or not all, were whole numbers."""
        return np.float64 if column in PRICES or not self._past.store.volume_is_integer else np.int64

    def _bring(self, columns: Sequence[str], first: int, at: int) -> None:
        """The sessions `first` to `at` - 1, and some ahead of them."""
        past = self._past
        shown = max(at, min(self._last, at + VALUES_AHEAD // len(past.scale)))
        needed = max(at, min(self._last, at + past.holding(MINUTES_AHEAD)))
        lacking: dict[int, list[Quantity]] = {}
        for column in columns:
            values = self._values.setdefault(column, {})
            if all(n in values for n in range(first, at)):
                continue
            quantity = Quantity.bar(column)
            asked = [n for n in range(first, shown) if n not in values]
            frame, missing = known(past, quantity, asked)
            if frame is not None:
                self._keep(column, sorted(set(asked).difference(missing)), frame)
            for number in missing:
                if number < needed:
                    lacking.setdefault(number, []).append(quantity)
        for column, frame in read(past, lacking).items():
            self._keep(column, [n for n, some in sorted(lacking.items()) if any(q.name == column for q in some)], frame)

    def _keep(self, column: str, numbers: Sequence[int], frame: pl.DataFrame) -> None:
        """The values of some sessions; one without a row has none."""
        frame = frame.sort("session", "code")  # the cache has symbols by name, and some are read along
        day = frame["session"].to_physical().to_numpy()
        names = pl.Series([self._past.schedule.names[n] for n in numbers], dtype=pl.Date).to_physical().to_numpy()
        low, high = np.searchsorted(day, names), np.searchsorted(day, names, side="right")
        code = frame["code"].to_numpy().astype(np.int64)
        value = frame["value"].to_numpy().astype(self._type(column))
        for number, a, b in zip(numbers, low.tolist(), high.tolist(), strict=True):
            self._values[column][number] = code[a:b], value[a:b]

    def _forget(self, first: int, at: int) -> None:
        """Drop what no call looks back to: as far as was ever asked."""
        self._reach = max(self._reach, at - first)
        for column, values in self._values.items():
            if any(n < at - self._reach for n in values):
                self._values[column] = {n: v for n, v in values.items() if n >= at - self._reach}
                told = self._told_at.get(column, {})
                self._told_at[column] = {n: since for n, since in told.items() if n >= at - self._reach}
