"""The bars of a session in playback order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bt.jit import IntArray, read_only
from bt.model import Column, PreparedBars, Session
from bt.playback.turns import in_turn


@dataclass(frozen=True)
class Tape:
    """The bars of one interval in playback order: `start[e]` to `start[e + 1]` are the rows that end at slot count e."""

    session: Session
    order: IntArray
    code: IntArray
    begin: IntArray
    start: list[int]
    columns: Mapping[str, Column]

    @staticmethod
    def of(session: Session, bars: PreparedBars) -> Tape:
        """Sort canonical bars by (end, code)."""
        code, begin, end = (
            read_only(np.ascontiguousarray(values, dtype=np.int64)) for values in (bars.code, bars.begin, bars.end)
        )
        order, code, begin, start = in_turn(code, begin, end, session.minutes)
        return Tape(session, order, code, begin, start.tolist(), bars.columns)

    def at(self, ends: IntArray) -> Tape:
        """Only the rows that end at one of the slot counts `ends`."""
        count = np.diff(self.start)
        keep = np.zeros(len(count), dtype=bool)
        keep[ends] = True
        if not count[~keep].any():
            return self
        rows = np.repeat(keep, count)
        start = [0, *np.cumsum(count * keep).tolist()]
        return Tape(self.session, self.order[rows], self.code[rows], self.begin[rows], start, self.columns)

    def bare(self) -> Tape:
        """Which symbols' bars end when, and nothing else: a session's columns are much to keep."""
        nothing = np.zeros(0, dtype=np.int64)
        return Tape(self.session, nothing, self.code, nothing, self.start, {})

    def take(self, name: str) -> Column:
        """A column in playback order."""
        column = self.columns[name]
        return Column(
            np.take(column.values, self.order), None if column.null is None else np.take(column.null, self.order)
        )
