"""Some sessions' minute bars in canonical order: sorted by (session, symbol, slot), one good row a minute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.guards import AFTER_CLOSE, BEFORE_OPEN, duplicates, fault_names, nothing_withheld, outside, withheld
from bt.jit import read_only
from bt.model import Schedule, Session
from bt.prepare.grouping import Grouping, Owned
from bt.prepare.placing import place
from bt.schema import BAR_COLUMNS, MINUTE, OK, PRICES, fault_code, sound_prices
from bt.sessions import TimeManager
from bt.store import Store

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Minutes(Owned):
    """Good minute bars of the sessions `first` to `last` of a schedule (both included), in canonical order.

    `frame` has the bar columns asked for, `grouping` tells whose the rows are, sessions counted from `first`. `slot` has one entry a row, and `jumps` are the rows whose slot
    is not the one after that of the row before, of the same group.
    """

    sessions: Sequence[Session]
    first: int
    frame: pl.DataFrame
    slot: IntArray
    grouping: Grouping
    jumps: IntArray

    @staticmethod
    def of(sessions: Sequence[Session], first: int, frame: pl.DataFrame, slot: IntArray, grouping: Grouping) -> Minutes:
        """Those of some rows of which nobody knows the jumps."""
        jumping = np.flatnonzero(np.diff(slot) != 1) + 1
        return Minutes(sessions, first, frame, slot, grouping, np.setdiff1d(jumping, grouping.start))

    @property
    def symbols(self) -> int:
        """Number of symbols, those without a row included."""
        return self.grouping.symbols

    @property
    def groups(self) -> int:
        """Number of groups, empty ones included."""
        return len(self.sessions) * self.symbols

    @cached_property
    def bounds(self) -> IntArray:
        """Rows of each group: group g has rows bounds[g] to bounds[g + 1]; length groups + 1."""
        return self.grouping.bounds(0, self.groups)

    def at(self, session: int) -> slice:
        """Rows of one session, counted from `first`."""
        return self.grouping.at(session)


@dataclass(frozen=True)
class Loaded:
    """A window's good bars and what was withheld: a frame of session (counted from the window's first), code, time, reason; and
    the rows stamped at a close, as (session, code) -> close price."""

    minutes: Minutes
    withheld: pl.DataFrame
    closing: dict[tuple[int, int], float]

    def of(self, groups: npt.NDArray[np.bool_]) -> Loaded:
        """With only those withheld rows whose group is marked."""
        if self.withheld.is_empty():
            return self
        session, code = (self.withheld[c].to_numpy().astype(np.int64) for c in ("session", "code"))
        return replace(self, withheld=self.withheld.filter(pl.Series(groups[session * self.minutes.symbols + code])))


@dataclass(frozen=True)
class _Ask:
    """What to load: sessions `first` to `last`, rows stamped in [start, end) UTC microseconds, columns and symbols."""

    first: int
    last: int
    start: int
    end: int
    columns: tuple[str, ...]
    symbols: Sequence[str] | None = None


class Loader:
    """Loads windows of one run.

    Parameters
    ----------
    columns : sequence of str
        Bar columns to load; a window with faulty rows is loaded with all that a verdict needs.
    """

    def __init__(self, store: Store, time: TimeManager, schedule: Schedule, columns: Sequence[str]) -> None:
        self._store = store
        self._time = time
        self._schedule = schedule
        self._columns = tuple(columns)

    def sessions(self, first: int, last: int) -> list[Session]:
        """Sessions `first` to `last` of the schedule, both included."""
        return [self._schedule.session(i) for i in range(first, last + 1)]

    def names(self, codes: IntArray | None) -> list[str] | None:
        """The symbols of `codes`; None for all."""
        return None if codes is None else [self._store.symbols[code] for code in codes.tolist()]

    def window(self, first: int, last: int, symbols: Sequence[str] | None = None, more: Sequence[str] = ()) -> Loaded:
        """Every row from the first session's earlier midpoint to the last one's later midpoint, judged; `symbols` None means all, `more` are columns besides."""
        border = self._time.borders(self._schedule, first, last)  # session k owns (border[k], border[k + 1]]
        columns = tuple(dict.fromkeys((*self._columns, *more)))
        return self._judge(_Ask(first, last, int(border[0]) + 1, int(border[-1]) + 1, columns, symbols))

    def history(self, first: int, last: int, columns: Sequence[str], symbols: Sequence[str] | None = None) -> Minutes:
        """The good bars alone of some sessions; `symbols` None means all."""
        start, end = int(self._schedule.open[first]), int(self._schedule.close[last])
        return self._judge(_Ask(first, last, start, end, tuple(columns), symbols)).minutes

    def _judge(self, ask: _Ask) -> Loaded:
        first, last, start, end, columns = ask.first, ask.last, ask.start, ask.end, ask.columns
        border = self._time.borders(self._schedule, first, last)
        table = self._time.minute_table(self._schedule, first, last)
        sessions = self.sessions(first, last)
        clean = self._store.clean(start, end)
        read = columns if clean else tuple(dict.fromkeys((*columns, *BAR_COLUMNS)))
        frame = self._store.read(start, end, read, symbols=ask.symbols).rechunk()
        n = len(self._store.symbols)
        time, codes = frame["time"].to_numpy(), frame["code"].to_numpy()
        slot, runs, number, jumps, inside, ordered = place(
            read_only(time), read_only(codes), table.start, table.session, table.slot, table.lead, n
        )
        grouping = Grouping.of_runs(n, len(time), runs, number)
        if inside and clean and ordered:
            return Loaded(
                Minutes(sessions, first, frame.select(columns), slot, grouping, jumps), nothing_withheld(), {}
            )
        code, session, group = codes.astype(np.int64), grouping.session, grouping.group
        reports = []
        closing: dict[tuple[int, int], float] = {}
        if not (inside and clean):
            good = slot >= 0
            if not inside:
                report, closing = _outside(frame, _Placed(time, code, session, slot), ~good, border, sessions)
                reports.append(report)
            if not clean:
                fault = frame.select(fault_code()).to_series().to_numpy()
                bad = good & (fault != OK)
                if bad.any():
                    reports.append(withheld(session[bad], code[bad], time[bad], fault_names(fault[bad])).frame)
                    good &= ~bad
            if not good.all():
                frame = frame.filter(pl.Series(good))
                code, session, slot, group = code[good], session[good], slot[good], group[good]
                ordered = False  # as far as is known
        if not ordered:
            key = group * max(one.minutes for one in sessions) + slot
            order = np.argsort(key, kind="stable")
            if (np.diff(key[order]) == 0).any():
                if not set(BAR_COLUMNS) <= set(frame.columns):
                    every = tuple(dict.fromkeys((*columns, *BAR_COLUMNS)))
                    return self._judge(replace(ask, columns=every))
                frame, order, report = _without_duplicates(frame, order, session, code, slot)
                reports.append(report)
            frame = frame[order]
            slot, group = slot[order], group[order]
        minutes = Minutes.of(sessions, first, frame.select(columns), slot, Grouping.of_rows(n, group))
        return Loaded(minutes, pl.concat([nothing_withheld(), *reports]), closing)


class _Placed(NamedTuple):
    """Rows of a window: times (us), codes, the session each belongs to, its slot or outside reason."""

    time: IntArray
    code: IntArray
    session: IntArray
    slot: IntArray


def _outside(
    frame: pl.DataFrame, rows: _Placed, out: npt.NDArray[np.bool_], border: IntArray, sessions: Sequence[Session]
) -> tuple[pl.DataFrame, dict[tuple[int, int], float]]:
    """The report of the rows marked in `out`, and the closing prices among them."""
    time, code, session, slot = (values[out] for values in rows)
    off_grid = time % MINUTE != 0
    if off_grid.any():  # a midpoint inside a minute: the instant decides, not the minute's label
        exact = np.searchsorted(border, time[off_grid], side="left") - 1
        session[off_grid] = np.clip(exact, 0, len(sessions) - 1)
        passed = (slot == AFTER_CLOSE) & (time < np.array([s.open for s in sessions])[session])
        slot[passed] = BEFORE_OPEN
    close = np.array([s.close for s in sessions], dtype=np.int64)
    report = outside(session, code, time, slot, close).frame
    return report, _closing_prices(frame.filter(pl.Series(out)), session, code, time, close)


def _closing_prices(
    frame: pl.DataFrame, session: IntArray, code: IntArray, time: IntArray, close: IntArray
) -> dict[tuple[int, int], float]:
    """The close price of the row stamped at each close, where its prices are sound; copies that disagree give none.

    A `frame` without all prices comes from files in which every row is sound.
    """
    if "close" not in frame.columns:
        return {}
    sound = time == close[session]
    if set(PRICES) <= set(frame.columns):
        sound &= frame.select(sound_prices()).to_series().fill_null(False).to_numpy()
    found: dict[tuple[int, int], set[float]] = {}
    price = frame["close"]
    for i in np.flatnonzero(sound).tolist():
        found.setdefault((int(session[i]), int(code[i])), set()).add(price[i])
    return {key: prices.pop() for key, prices in found.items() if len(prices) == 1}


def _without_duplicates(
    frame: pl.DataFrame, order: IntArray, session: IntArray, code: IntArray, slot: IntArray
) -> tuple[pl.DataFrame, IntArray, pl.DataFrame]:
    """The rows to keep of `order`, with the second rows for one minute taken out, and their report."""
    judged = frame.select(BAR_COLUMNS)[order].with_columns(
        pl.Series("session", session[order]), pl.Series("code", code[order]), pl.Series("slot", slot[order]),
        pl.lit(OK, dtype=pl.UInt8).alias("fault"),
    )  # fmt: skip
    fault = duplicates(judged).to_numpy()
    out = order[fault != OK]
    time = frame["time"].to_numpy()
    report = withheld(session[out], code[out], time[out], fault_names(fault[fault != OK])).frame
    return frame, order[fault == OK], report
