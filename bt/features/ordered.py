"""Bars of one interval in feature order: by symbol, then time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.features.declared import Within

IntArray = npt.NDArray[np.int64]


def ranges(start: IntArray, stop: IntArray) -> IntArray:
    """The rows start <= row < stop of every pair, one range behind another."""
    length = stop - start
    offset = np.cumsum(length) - length
    rows: IntArray = np.repeat(start - offset, length)
    rows += np.arange(len(rows))
    return rows


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


@dataclass(frozen=True)
class Ordered:
    """Bars of one interval in feature order.

    `frame` has the bar columns; rows are sorted by (symbol, session, time) and `runs` tells whose they are. `chosen` marks the
    runs whose values are asked for; the others are warm-up. `scale` holds each symbol's 10^k, 0 where it has none.
    `slots` are the slots at which the bars begin and end, in the order before `order` was applied (0 of warm-up bars).
    """

    frame: pl.DataFrame
    runs: Runs
    chosen: npt.NDArray[np.bool_]
    scale: IntArray
    slots: tuple[IntArray, IntArray]
    order: IntArray

    def only(self, keep: npt.NDArray[np.bool_]) -> Ordered:
        """The rows marked in `keep`."""
        left = np.logical_or.reduceat(keep, self.runs.start) if len(keep) else np.zeros(0, dtype=bool)
        runs = Runs.of(self.code[keep], self.session[keep])
        return Ordered(
            self.frame.filter(pl.Series(keep)), runs, self.chosen[left], self.scale, self.slots, self.order[keep]
        )

    def __len__(self) -> int:
        return len(self.order)

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
        return self.slots[0][self.order]

    @cached_property
    def end(self) -> IntArray:
        """The slot count at which each bar of a wanted session ends."""
        return self.slots[1][self.order]

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
