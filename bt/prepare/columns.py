"""A window's coarser bars, features and quality, from its canonical minutes.

Coarser bars and the expressions over minute bars are one lazy plan, collected at once; expressions over coarser bars need those
first and are a second one (Polars would compute what two plans share twice). Features work in feature order: a symbol's warm-up bars, then the window's, by symbol;
`Bars` keeps that order for one interval, carries the last bars on to the next window, and answers as-of questions from
rows of any other interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.features import (
    Feature,
    Kernels,
    Ordered,
    Pieces,
    Place,
    Rows,
    Runs,
    Today,
    pieces,
    ranges,
    recursion,
    warm_up_of,
)
from bt.model import Column
from bt.prepare.grouping import Grouping, Owned
from bt.prepare.window import Minutes
from bt.resample import Bins, finish, keys, plan, window_bins
from bt.strategy import COARSE_ONLY

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Grouped(Owned):
    """Bars of one interval in canonical order.

    `begin` and `end` are slots; sessions count from the window's first. `frame` has the bar columns and, for coarser
    bars, n_obs, n_expected and closed_by (code).
    """

    interval: int
    frame: pl.DataFrame
    grouping: Grouping
    begin: IntArray
    end: IntArray
    bins: Bins | None = None
    bin: IntArray | None = None
    rows: IntArray | None = None
    """Of bars picked from others: their rows there."""

    def pick(self, rows: IntArray, columns: Sequence[str] | None = None) -> Grouped:
        """Some of the bars, with those bar `columns`; None means all."""
        named = self.frame.columns if columns is None else columns
        return replace(
            self, frame=pl.DataFrame([self.frame[name].gather(rows) for name in named]), grouping=self.grouping.pick(rows),
            begin=self.begin[rows], end=self.end[rows], bin=None if self.bin is None else self.bin[rows],
            rows=rows if self.rows is None else self.rows[rows],
        )  # fmt: skip


def bar_columns(interval: int, columns: Sequence[str]) -> list[str]:
    """The columns that rows of an interval show of its bars: those declared, and how a coarser bar came about."""
    return list(dict.fromkeys((*columns, *(COARSE_ONLY if interval > 1 else ()))))


def shown_bars(bars: Grouped, ends: Sequence[IntArray | None], columns: Sequence[str]) -> Grouped:
    """The bars that end at one of the slot counts asked for in their session of the window, with at least those bar `columns`; None asks
    for all."""
    if all(e is None for e in ends):
        return bars
    picked = []
    edges = bars.grouping.edges(len(ends))
    for end, low, high in zip(ends, edges, edges[1:], strict=False):
        asked = np.zeros(int(bars.end[low:high].max(initial=0)) + 1, dtype=bool)
        asked[slice(None) if end is None else end[end < len(asked)]] = True
        picked.append(low + np.flatnonzero(asked[bars.end[low:high]]))
    return bars.pick(np.concatenate(picked), columns)


def grouped_minutes(minutes: Minutes) -> Grouped:
    """The minute bars themselves."""
    return Grouped(1, minutes.frame, minutes.grouping, minutes.slot, minutes.slot + 1)


@dataclass(frozen=True)
class Resampling:
    """The plan of every coarser interval: a lazy frame each, and what to do with it once it is collected."""

    minutes: Minutes
    layouts: Mapping[int, Bins]
    plans: Sequence[pl.LazyFrame]

    @staticmethod
    def of(minutes: Minutes, intervals: Mapping[int, Sequence[str]]) -> Resampling:
        """`intervals` maps minutes (or schema.DAY) to the bar columns each needs."""
        layouts = {k: window_bins(minutes.sessions, k) for k in intervals}
        source = minutes.frame.lazy()
        plans = [
            plan(source, keys(bins, minutes.group, minutes.session, minutes.slot), bins.every, intervals[k])
            for k, bins in layouts.items()
        ]
        return Resampling(minutes, layouts, plans)

    def finish(self, frames: Sequence[pl.DataFrame]) -> dict[int, Grouped]:
        """The bars of every interval from the collected plans."""
        symbols, made = self.minutes.symbols, {}
        group_session = np.arange(self.minutes.groups) // symbols
        for (interval, bins), frame in zip(self.layouts.items(), frames, strict=True):
            done, group, at = finish(frame.rechunk(), bins, group_session)
            made[interval] = Grouped(
                interval, done, Grouping.of_rows(symbols, group),
                done["begin"].to_numpy().astype(np.int64), done["end"].to_numpy().astype(np.int64), bins, at,
            )  # fmt: skip
        return made


def collect(plans: Sequence[pl.LazyFrame]) -> list[pl.DataFrame]:
    """All plans at once, on the engine whose float sums do not depend on the number of threads."""
    return pl.collect_all(list(plans), engine="in-memory") if plans else []


def resampled(minutes: Minutes, intervals: Mapping[int, Sequence[str]]) -> dict[int, Grouped]:
    """Coarser bars alone."""
    plan_ = Resampling.of(minutes, intervals)
    return plan_.finish(collect(plan_.plans))


class Placed(NamedTuple):
    """Rows of feature order that some rows see, and which of them see none (then it is row 0)."""

    rows: Rows
    missing: npt.NDArray[np.bool_] | None


class Bars:
    """One interval's bars in feature order: warm-up first, then the window's.

    `tail` is the warm-up: bars of earlier sessions sorted by (code, time), with `code`, `session` (number in the
    schedule) and the bar columns.
    """

    def __init__(
        self, bars: Grouped, tail: pl.DataFrame, first: int, *, scale: IntArray, need: Need, columns: Sequence[str]
    ) -> None:
        self.bars = bars
        number, symbols = bars.grouping.number, bars.grouping.symbols
        before = Runs.of(tail["code"].to_numpy().astype(np.int64), tail["session"].to_numpy().astype(np.int64))
        own = Runs(bars.grouping.start, number % symbols, number // symbols + first)
        place = Place.of(before, own, tail.height, bars.grouping.rows)
        runs = place.runs
        chosen = runs.session >= first
        if need.deep or need.codes:
            chosen |= (runs.session == last_before(runs, first)) & need.is_deep(runs.code)
        self.ordered = Ordered(tail, bars.frame.select(columns), place, runs, chosen, scale, (bars.begin, bars.end))
        self._kernels = Kernels(self.ordered)
        self._today = Today(self._kernels)
        self._need = need
        self._columns = tuple(columns)
        self._joins: dict[tuple[int, bool, int], Placed] = {}
        self._first = first

    def plan(self, features: Sequence[Feature]) -> list[tuple[list[Feature], Pieces]]:
        """The expressions among `features`, those with equal warm-up together."""
        together: dict[object, list[Feature]] = {}
        for feature in features:
            if feature.kind == "expression":
                together.setdefault(warm_up_of(feature), []).append(feature)
        return [(some, pieces(self.ordered, some)) for some in together.values()]

    def piecewise(self, feature: Feature) -> tuple[Column, list[tuple[int, int, str]]]:
        """An expression computed for each symbol and wanted session apart: values where it could be (null elsewhere), and
        (code, session, why) where it could not."""
        bars, culprits = self.ordered, []
        out, null = np.zeros(len(bars.code)), np.ones(len(bars.code), dtype=bool)
        for code in np.unique(bars.code[bars.wanted]).tolist():
            mine = bars.code == code
            for session in np.unique(bars.session[mine & bars.wanted]).tolist():
                rows = mine & (bars.session <= session)
                piece = bars.only(rows)
                piece = replace(piece, chosen=piece.runs.session == session)
                try:
                    values = evaluate(piece, feature)
                except Exception as error:  # noqa: BLE001 - told in the results as the reason the symbol was dropped
                    culprits.append((code, session, f"{type(error).__name__}: {error}".splitlines()[0]))
                    continue
                at = np.flatnonzero(rows)[piece.wanted]
                out = out.astype(values.values.dtype) if null.all() else out
                out[at] = values.values[piece.wanted]
                null[at] = False if values.null is None else values.null[piece.wanted]
        return Column(out, null), culprits

    def shown(self, feature: Feature, found: Column | None, placed: Placed) -> Column:
        """A feature at some rows: `found` in feature order, or by a kernel where it is None."""
        if not len(self.ordered):
            return Column(np.zeros(len(placed.rows)), np.ones(len(placed.rows), dtype=bool))
        if found is not None:
            made = _taken(found, placed.rows.at)
        elif feature.kind == "window":
            made = self._kernels.value(feature, placed.rows)
        else:
            made = self._today.value(feature, placed.rows.at)
        if placed.missing is None:
            return made
        null = placed.missing if made.null is None else placed.missing | made.null
        return Column(np.where(null, np.nan, made.values) if made.values.dtype.kind == "f" else made.values, null)

    def placed(self, rows: Grouped, groups: int, minutes: int, *, within: bool) -> Placed:
        """Where the rows of an interval find their values: its own bars, or the last bar known at each row's end.

        `within` keeps values of earlier sessions out.
        """
        key = rows.interval, within, -1
        if key not in self._joins:
            if rows.interval == self.bars.interval:
                own = self.ordered.place.own
                self._joins[key] = Placed(own if rows.rows is None else Rows.of(own.at[rows.rows]), None)
            else:
                self._joins[key] = self._asof(rows, groups, minutes, within=within)
        return self._joins[key]

    def placed_of(self, code: int, rows: Grouped, shape: tuple[int, int], *, within: bool) -> Placed:
        """Where rows of any interval find the value of the symbol `code`: its last bar known at each row's end.

        `shape` is the number of the window's sessions and the most minutes of one.
        """
        key = rows.interval, within, code
        if key not in self._joins:
            bars, mine = self.bars, self.bars.code == code
            known = np.zeros((shape[0], shape[1] + 1), dtype=np.int64)
            known[bars.session[mine], bars.end[mine]] = 1
            count = np.cumsum(known, axis=1)[rows.session, rows.end]
            runs, edge = self.ordered.runs, np.append(self.ordered.runs.start, len(self.ordered))
            first, last = np.searchsorted(runs.code, [code, code + 1])
            begin = first + np.searchsorted(runs.session[first:last], self._first + np.arange(shape[0]))
            low, at = edge[first], edge[begin][rows.session] + count - 1
            missing = (at < low) | (count == 0 if within else False)
            self._joins[key] = _placed(at, missing)
        return self._joins[key]

    def _asof(self, rows: Grouped, groups: int, minutes: int, *, within: bool) -> Placed:
        bars = self.bars
        known = np.zeros((groups, minutes + 1), dtype=np.int16)
        known[bars.group, bars.end] = 1
        count = np.cumsum(known, axis=1, dtype=np.int16)[rows.group, rows.end].astype(np.int64)
        start = np.full(groups, -1, dtype=np.int64)
        start[bars.grouping.number] = self.ordered.place.own.spans[0]
        at = start[rows.group] + count - 1
        code_start = np.searchsorted(self.ordered.code, np.arange(int(rows.code.max(initial=0)) + 1))
        missing = (start[rows.group] < 0) | (at < code_start[rows.code])
        if within:
            missing |= count == 0
        return _placed(at, missing)

    def tail(self) -> pl.DataFrame:
        """The warm-up for the next window."""
        bars = self.ordered
        upcoming = int(bars.runs.session.max(initial=0)) + 1
        return bars.at(self._columns, self._need.keep(bars.runs, len(bars), upcoming))


def _placed(at: IntArray, missing: npt.NDArray[np.bool_]) -> Placed:
    """Rows that see those `at`, but for those where it is `missing`."""
    return Placed(Rows.of(np.where(missing, 0, at)), missing) if missing.any() else Placed(Rows.of(at), None)


def evaluate(bars: Ordered, feature: Feature, *, factor: int = 1) -> Column:
    """One expression or recursion by itself, in feature order."""
    if feature.kind == "recursive":
        return recursion(bars, feature, factor=factor)
    plan_ = pieces(bars, [feature], factor=factor)
    return plan_.place(collect([plan_.lazy])[0]["0"])


def last_before(runs: Runs, first: int) -> IntArray:
    """For each run (sorted by symbol, session) its symbol's last session before `first`, -1 if none."""
    before = np.flatnonzero(runs.session < first)
    last = np.full(int(runs.code.max(initial=0)) + 1, -1, dtype=np.int64)
    last[runs.code[before]] = runs.session[before]  # sorted: the last one stays
    return last[runs.code]


SESSIONS = 1 << 40
"""More than a schedule has."""


@dataclass(frozen=True)
class Need:
    """How much warm-up one interval's features need: bars of the symbol, whole sessions.

    `deep`: their values are joined as-of onto finer rows, so the last value of the session before is needed too, with its own
    warm-up; `codes` are the symbols of which that is so when not of all.
    """

    bars: int
    sessions: int
    deep: bool
    codes: tuple[int, ...] = ()

    def is_deep(self, code: IntArray) -> npt.NDArray[np.bool_]:
        """Of which symbols the last value of the session before is needed."""
        if self.deep or not self.codes:
            return np.full(len(code), self.deep)
        return np.isin(code, self.codes)

    def keep(self, runs: Runs, total: int, upcoming: int) -> IntArray:
        """Which of `total` rows (in feature order) are warm-up for session number `upcoming`: the last ones of each symbol."""
        symbol = runs.by_symbol
        code = runs.code[symbol]
        first, end = runs.start[symbol], np.append(runs.start[symbol][1:], total)[: len(symbol)]
        edge = np.append(runs.start, total)
        key = runs.code * (SESSIONS + 1) + runs.session
        reference = np.full(len(symbol), upcoming, dtype=np.int64)
        stop = end
        if self.deep or self.codes:
            deep = self.is_deep(code)
            reference = np.where(deep, last_before(runs, upcoming)[symbol], reference)
            stop = np.where(deep, edge[np.searchsorted(key, code * (SESSIONS + 1) + reference)], end)
        since = np.clip(reference - self.sessions, 0, SESSIONS)
        whole = edge[np.searchsorted(key, code * (SESSIONS + 1) + since)]
        start = np.maximum(np.minimum(stop - self.bars, whole), first)
        return ranges(np.minimum(start, end), end)

    def twice(self) -> Need:
        """What the start-up check needs."""
        return replace(self, bars=2 * self.bars, sessions=2 * self.sessions)


def _taken(values: Column, at: IntArray) -> Column:
    null = None if values.null is None else np.take(values.null, at)
    return Column(np.take(values.values, at), null if null is not None and null.any() else None)


def without(bars: Grouped, drop: npt.NDArray[np.bool_]) -> Grouped:
    """The bars whose group is not marked in `drop`."""
    return bars.pick(np.flatnonzero(~drop[bars.group]))
