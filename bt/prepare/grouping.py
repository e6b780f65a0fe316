"""Whose rows a window's bars are: one symbol's in one session each, which is a *group*, numbered ``session x symbols + code``."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


class Grouping:
    """The groups of some rows; what is asked of every row is made when it is asked for.

    `Grouping.of_runs` knows them by the first row of each run of rows of one group, `Grouping.of_rows` one by one. In canonical order a group has one
    run, and the groups of runs rise.

    Attributes
    ----------
    symbols : int
        Of every session.
    rows : int
        How many rows there are.
    """

    def __init__(self, symbols: int, rows: int) -> None:
        self.symbols = symbols
        self.rows = rows

    @staticmethod
    def of_runs(symbols: int, rows: int, start: IntArray, number: IntArray) -> Grouping:
        """Groups by run: its first row, and its `number`."""
        made = Grouping(symbols, rows)
        made.start, made.number = start, number
        return made

    @staticmethod
    def of_rows(symbols: int, group: IntArray) -> Grouping:
        """Groups by row."""
        made = Grouping(symbols, len(group))
        made.group = group
        return made

    @cached_property
    def start(self) -> IntArray:
        """The first row of each run."""
        if not self.rows:
            return np.zeros(0, dtype=np.int64)
        return np.concatenate([[0], np.flatnonzero(self.group[1:] != self.group[:-1]) + 1]).astype(np.int64)

    @cached_property
    def number(self) -> IntArray:
        """The group of each run."""
        return self.group[self.start]

    @cached_property
    def group(self) -> IntArray:
        """The group of each row."""
        return self._spread(self.number)

    @cached_property
    def session(self) -> IntArray:
        """The session of each row, counted from the window's first."""
        return self._spread(self.number // self.symbols)

    @cached_property
    def code(self) -> IntArray:
        """The symbol of each row."""
        return self._spread(self.number % self.symbols)

    def _spread(self, of_runs: IntArray) -> IntArray:
        return np.repeat(of_runs, np.diff(self.start, append=self.rows))

    def pick(self, rows: IntArray) -> Grouping:
        """Of some of the rows."""
        return Grouping.of_rows(self.symbols, self.group[rows])

    def bounds(self, first: int, last: int) -> IntArray:
        """Where each of the groups ``first <= g < last`` begins, and where the last of them ends, in canonical order; last - first + 1 rows."""
        return self._begins(np.arange(first, last + 1))

    def edges(self, sessions: int) -> IntArray:
        """Likewise where each of so many sessions begins, and where the last ends."""
        return self._begins(np.arange(sessions + 1) * self.symbols)

    def _begins(self, groups: IntArray) -> IntArray:
        """The first row of some groups, or of what comes after them."""
        return np.append(self.start, self.rows)[np.searchsorted(self.number, groups)]

    def at(self, session: int) -> slice:
        """Likewise the rows of one session."""
        return slice(*self._begins(np.array([session, session + 1]) * self.symbols).tolist())


class Owned:
    """Rows with a `grouping`, and whose each of them is."""

    grouping: Grouping

    @property
    def code(self) -> IntArray:
        """The symbol of each row."""
        return self.grouping.code

    @property
    def session(self) -> IntArray:
        """The session of each row, counted from the window's first."""
        return self.grouping.session

    @property
    def group(self) -> IntArray:
        """The group of each row."""
        return self.grouping.group
