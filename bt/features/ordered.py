"""Bars of one interval in feature order: by symbol, then time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.features.declared import Within

IntArray = npt.NDArray[np.int64]


def ranges(start: IntArray, stop: IntArray) -> IntArray:
    """The rows start <= row < stop of every pair, one range behind another."""
    some = stop > start
    start, stop = start[some], stop[some]
    rows: IntArray = np.ones(int((stop - start).sum()), dtype=np.int64)  # how far each is from the one before
    if len(rows):
        rows[0] = start[0]
        rows[np.cumsum(stop - start)[:-1]] = start[1:] - stop[:-1] + 1
    return np.cumsum(rows, out=rows)


class Runs(NamedTuple):
    """Contiguous rows of one symbol in one session: the first row of each, and whose it is."""

    start: IntArray
    code: IntArray
    session: IntArray

    @staticmethod
    def of(code: IntArray, session: IntArray) -> Runs:
        """The runs of some rows in which the sessions of a symbol are contiguous."""
        if not len(code):
            return Runs(*(np.zeros(0, dtype=np.int64),) * 3)
        new = code[1:] != code[:-1]
        new |= session[1:] != session[:-1]
        start = np.concatenate([[0], np.flatnonzero(new) + 1]).astype(np.int64)
        return Runs(start, code[start], session[start])

    def stop(self, total: int) -> IntArray:
        """Past the last row of each run, of `total` rows."""
        return np.append(self.start[1:], total)[: len(self.start)]

    @property
    def by_symbol(self) -> IntArray:
        """The first run of each symbol that has one; the runs must be sorted by symbol."""
        return borders(self.code)


class Rows:
    """Some rows of feature order; what is not known of them is made when it is asked for.

    `Rows.spanning` knows them as spans, one behind another, `Rows.of` one by one.
    """

    @staticmethod
    def spanning(start: IntArray, stop: IntArray) -> Rows:
        """The rows from each `start` to its `stop`."""
        made = Rows()
        made.spans = start, stop
        return made

    @staticmethod
    def of(at: IntArray) -> Rows:
        """Those rows, in any order."""
        made = Rows()
        made.at = at
        return made

    @cached_property
    def at(self) -> IntArray:
        """Each of them."""
        return ranges(*self.spans)

    @cached_property
    def spans(self) -> tuple[IntArray, IntArray]:
        """Where each stretch of rows that follow one another begins, and past its last."""
        return spans_of(self.at)

    def __len__(self) -> int:
        return len(self.at) if "at" in self.__dict__ else int((self.spans[1] - self.spans[0]).sum())


def spans_of(rows: IntArray) -> tuple[IntArray, IntArray]:
    """The first row of each stretch of rows that follow one another, and past its last."""
    if not len(rows):
        return rows, rows
    last = np.append(np.flatnonzero(np.diff(rows) != 1), len(rows) - 1)
    return rows[np.append(0, last[:-1] + 1)], rows[last] + 1


@dataclass(frozen=True)
class Place:
    """Where the rows of two sources stand in feature order: the runs of the first, warm-up bars, and of the second, a window's own.

    By run of feature order, `runs`, `origin` is its first row in the sources, one behind the other, of which the first has `warm_up` rows. `in_order` says that the own rows are
    all there are, and stand as they are.
    """

    before: Rows
    own: Rows
    runs: Runs
    origin: IntArray
    warm_up: int
    total: int
    in_order: bool

    @staticmethod
    def of(before: Runs, own: Runs, warm_up: int, rows: int) -> Place:
        """Where the bars stand, of so many rows in each source, whose runs these are."""
        total = warm_up + rows
        start, code, session = (np.concatenate(pair) for pair in zip(before, own, strict=True))
        origin = start + np.where(np.arange(len(start)) < len(before.start), 0, warm_up)
        # runs are sorted by symbol and session, not their rows: whole runs change places
        moved = np.lexsort((session, code))
        length = np.append(origin[1:], total)[: len(origin)] - origin
        there = np.empty(len(moved), dtype=np.int64)  # where each run went
        there[moved] = np.cumsum(length[moved]) - length[moved]
        cut = len(before.start)
        stands = [Rows.spanning(there[part], (there + length)[part]) for part in (slice(cut), slice(cut, None))]
        runs = Runs(there[moved], code[moved], session[moved])
        in_order = not warm_up and len(np.unique(own.session)) < 2
        return Place(stands[0], stands[1], runs, origin[moved], warm_up, total, in_order)

    @staticmethod
    def alone(runs: Runs, total: int) -> Place:
        """Where bars stand that are in feature order."""
        nobody = Rows.of(np.zeros(0, dtype=np.int64))
        everybody = Rows.spanning(np.zeros(1, dtype=np.int64), np.full(1, total, dtype=np.int64))
        return Place(nobody, everybody, runs, runs.start, 0, total, in_order=True)

    def joined(self, before: npt.NDArray[Any], own: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A column of both sources in feature order."""
        if self.in_order:
            return own
        made = np.empty(self.total, dtype=own.dtype)
        made[self.own.at] = own
        made[self.before.at] = before
        return made


@dataclass(frozen=True)
class Ordered:
    """Bars of one interval in feature order: rows are sorted by (symbol, session, time) and `runs` tells whose they are.

    `before` are warm-up bars and `own` a window's, each with the bar columns in its own order; `place` tells where their rows
    stand. `chosen` marks the runs whose values are asked for; the others are warm-up. `scale` holds each symbol's 10^k,
    0 where it has none. `slots` are those at which the own bars begin and end. A column is put in order when it is asked for.
    """

    before: pl.DataFrame
    own: pl.DataFrame
    place: Place
    runs: Runs
    chosen: npt.NDArray[np.bool_]
    scale: IntArray
    slots: tuple[IntArray, IntArray]

    def column(self, name: str) -> npt.NDArray[Any]:
        """A bar column that has no nulls, in feature order."""
        return self.joined(lambda bars: bars[name].to_numpy())

    def joined(self, made: Callable[[pl.DataFrame], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """What is `made` of each row of bars without nulls, in feature order."""
        return self.place.joined(*self.sources(made))

    def sources(self, made: Callable[[pl.DataFrame], npt.NDArray[Any]]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Likewise in the order of the sources: of the warm-up bars, and of the own."""
        own = made(self.own)
        return (made(self.before) if self.place.warm_up else own[:0]), own

    def frame(self, names: Sequence[str]) -> pl.DataFrame:
        """Bar columns in feature order."""
        return pl.DataFrame([self._series(name) for name in names])

    def at(self, names: Sequence[str], rows: IntArray) -> pl.DataFrame:
        """Bar columns at some rows of feature order, which are in order, and whose they are: `code` and `session`."""
        runs, warm_up = self.place.runs, self.place.warm_up
        run = np.searchsorted(runs.start, rows, side="right") - 1
        origin = rows + (self.place.origin - runs.start)[run]
        own = origin >= warm_up
        found = self.own.select(names)[origin[own] - warm_up]
        if not own.all():
            found = pl.concat([self.before.select(names)[origin[~own]], found])
            found = found[np.argsort(np.concatenate([np.flatnonzero(~own), np.flatnonzero(own)]), kind="stable")]
        return found.with_columns(pl.Series("code", runs.code[run]), pl.Series("session", runs.session[run]))

    def _series(self, name: str) -> pl.Series:
        before, own = self.before[name] if self.place.warm_up else self.own[name].clear(), self.own[name]
        if not (before.null_count() or own.null_count()):
            return pl.Series(name, self.column(name))
        return pl.concat([before, own]).gather(np.argsort(self._at, kind="stable"))

    @property
    def _at(self) -> IntArray:
        """Where the rows of both sources stand, one behind the other."""
        return np.concatenate([self.place.before.at, self.place.own.at])

    def only(self, keep: npt.NDArray[np.bool_]) -> Ordered:
        """The rows marked in `keep`."""
        left = np.logical_or.reduceat(keep, self.runs.start) if len(keep) else np.zeros(0, dtype=bool)
        runs = Runs.of(self.code[keep], self.session[keep])
        kept = self.frame(self.own.columns).filter(pl.Series(keep))
        slots = self.begin[keep], self.end[keep]
        place = Place.alone(runs, kept.height)
        return replace(
            self, before=kept.clear(), own=kept, place=place, runs=runs, chosen=self.chosen[left], slots=slots
        )

    def apart(self, start: IntArray, stop: IntArray) -> Ordered:
        """Stretches of rows, each of one symbol, as the bars of symbols of their own; they may overlap."""
        rows = ranges(start, stop)
        runs = Runs.of(np.repeat(np.arange(len(start)), stop - start), self.session[rows])
        own = self.frame(self.own.columns)[rows]
        place = Place.alone(runs, own.height)
        return replace(
            self, before=own.clear(), own=own, place=place, runs=runs, chosen=self.wanted[rows[runs.start]],
            scale=self.scale[self.code[start]], slots=(self.begin[rows], self.end[rows]),
        )  # fmt: skip

    def made_of(self, frame: pl.DataFrame) -> Ordered:
        """The same bars with the columns, in feature order, of a frame."""
        place = Place.alone(self.runs, frame.height)
        return replace(self, before=frame.clear(), own=frame, place=place, slots=(self.begin, self.end))

    def __len__(self) -> int:
        return self.place.total

    def spread(self, of_runs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A value of each run, on its rows."""
        return np.repeat(of_runs, self.runs.stop(len(self)) - self.runs.start)

    @cached_property
    def code(self) -> IntArray:
        """The symbol of each row."""
        return self.spread(self.runs.code)

    @cached_property
    def session(self) -> IntArray:
        """The session of each row."""
        return self.spread(self.runs.session)

    @cached_property
    def wanted(self) -> npt.NDArray[np.bool_]:
        """Whether the value of each row is asked for."""
        return self.spread(self.chosen)

    @cached_property
    def begin(self) -> IntArray:
        """The slot at which each bar of a wanted session begins."""
        return self.place.joined(np.zeros(1, dtype=np.int64), self.slots[0])

    @cached_property
    def end(self) -> IntArray:
        """The slot count at which each bar of a wanted session ends."""
        return self.place.joined(np.zeros(1, dtype=np.int64), self.slots[1])

    @property
    def by_symbol(self) -> IntArray:
        """First row of each symbol that has one."""
        return self.runs.start[self.runs.by_symbol]

    @property
    def by_session(self) -> IntArray:
        """First row of each session of each symbol."""
        return self.runs.start

    def firsts(self, within: Within) -> IntArray:
        """First row of each group in which windows run: a symbol's bars, or a session's."""
        return self.by_symbol if within is None else self.by_session

    def starts(self, within: Within) -> IntArray:
        """For each row the first row of its group."""
        first = self.firsts(within)
        return np.repeat(first, np.diff(np.append(first, len(self))))


def borders(values: IntArray) -> IntArray:
    """First row of each run of equal values."""
    if not len(values):
        return np.zeros(0, dtype=np.int64)
    return np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1]).astype(np.int64)
