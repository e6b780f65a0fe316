"""Bars of one interval in feature order: by symbol, then time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.features.declared import Within

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ordered:
    """Bars of one interval in feature order.

    `frame` has the bar columns; rows are sorted by (`code`, `session`, time). `wanted` marks the rows whose values are
    asked for, whole sessions of a symbol; the others are warm-up. `scale` holds each symbol's 10^k, 0 where it has none.
    `begin` and `end` are the slots of the bars of wanted sessions (0 of warm-up bars).
    """

    frame: pl.DataFrame
    code: IntArray
    session: IntArray
    wanted: npt.NDArray[np.bool_]
    scale: IntArray
    begin: IntArray
    end: IntArray

    def only(self, keep: npt.NDArray[np.bool_]) -> Ordered:
        """The rows marked in `keep`."""
        return Ordered(
            self.frame.filter(pl.Series(keep)), self.code[keep], self.session[keep], self.wanted[keep], self.scale,
            self.begin[keep], self.end[keep],
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.code)

    @cached_property
    def by_symbol(self) -> IntArray:
        """First row of each symbol that has one."""
        return _borders(self.code)

    @cached_property
    def by_session(self) -> IntArray:
        """First row of each session of each symbol."""
        both = np.concatenate([self.by_symbol, _borders(self.session)])
        return np.unique(both)

    def firsts(self, within: Within) -> IntArray:
        """First row of each group in which windows run: a symbol's bars, or a session's."""
        return self.by_symbol if within is None else self.by_session

    def starts(self, within: Within) -> IntArray:
        """For each row the first row of its group."""
        first = self.firsts(within)
        return np.repeat(first, np.diff(np.append(first, len(self))))


def _borders(values: IntArray) -> IntArray:
    """First row of each run of equal values."""
    if not len(values):
        return np.zeros(0, dtype=np.int64)
    return np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1]).astype(np.int64)
