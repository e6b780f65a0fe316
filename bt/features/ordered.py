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


class Place(NamedTuple):
    """Where the rows of two sources stand in feature order: warm-up bars, and a window's own (None: they are all, and in order)."""

    before: IntArray
    own: IntArray | None
    total: int

    def joined(self, before: npt.NDArray[Any], own: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A column of both sources in feature order."""
        if self.own is None:
            return own
        made = np.empty(self.total, dtype=own.dtype)
        made[self.own] = own
        made[self.before] = before
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
        own = made(self.own)
        return self.place.joined(made(self.before), own) if len(self.place.before) else self.place.joined(own[:0], own)

    def frame(self, names: Sequence[str]) -> pl.DataFrame:
        """Bar columns in feature order."""
        return pl.DataFrame([self._series(name) for name in names])

    def at(self, names: Sequence[str], rows: IntArray) -> pl.DataFrame:
        """Bar columns at some rows of feature order, which are in order."""
        place, marked = self.place, np.zeros(len(self), dtype=bool)
        marked[rows] = True
        own = np.flatnonzero(marked if place.own is None else marked[place.own])
        own_at = own if place.own is None else place.own[own]
        before = np.flatnonzero(marked[place.before])
        found = self.own.select(names)[own]
        if len(before):
            found = pl.concat([self.before.select(names)[before], found])
        return found[np.argsort(np.concatenate([place.before[before], own_at]))]

    def _series(self, name: str) -> pl.Series:
        before, own = self.before[name] if len(self.place.before) else self.own[name].clear(), self.own[name]
        if not (before.null_count() or own.null_count()):
            return pl.Series(name, self.column(name))
        return pl.concat([before, own]).gather(np.argsort(self._at, kind="stable"))

    @property
    def _at(self) -> IntArray:
        """Where the rows of both sources stand, one behind the other."""
        own = np.arange(self.place.total) if self.place.own is None else self.place.own
        return np.concatenate([self.place.before, own])

    def only(self, keep: npt.NDArray[np.bool_]) -> Ordered:
        """The rows marked in `keep`."""
        left = np.logical_or.reduceat(keep, self.runs.start) if len(keep) else np.zeros(0, dtype=bool)
        runs = Runs.of(self.code[keep], self.session[keep])
        kept = self.frame(self.own.columns).filter(pl.Series(keep))
        slots = self.begin[keep], self.end[keep]
        return replace(self.made_of(kept, slots), runs=runs, chosen=self.chosen[left])

    def made_of(self, frame: pl.DataFrame, slots: tuple[IntArray, IntArray] | None = None) -> Ordered:
        """The same bars with the columns, in feature order, of a frame."""
        place = Place(np.zeros(0, dtype=np.int64), None, frame.height)
        return replace(self, before=frame.clear(), own=frame, place=place, slots=slots or (self.begin, self.end))

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
