"""The bars of a session, and the order in which they are played."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bt.jit import IntArray, read_only
from bt.model import PreparedBars, Session
from bt.playback.turns import in_turn, starts


class Turns(NamedTuple):
    """Bars in playback order: the row of each in canonical order, and its code."""

    order: IntArray
    code: IntArray


@dataclass(frozen=True)
class Tape:
    """Whose bars of one interval end when, in canonical order; in playback order `start[e]` to `start[e + 1]` are the rows that end at slot count e, all of which
    begin at slot `began[e]`."""

    session: Session
    code: IntArray
    begin: IntArray
    end: IntArray
    start: list[int]
    began: list[int]

    @staticmethod
    def of(session: Session, bars: PreparedBars) -> Tape:
        """Of canonical bars."""
        return _tape(session, *(np.ascontiguousarray(v, dtype=np.int64) for v in (bars.code, bars.begin, bars.end)))

    def only(self, keep: npt.NDArray[np.bool_]) -> Tape:
        """The marked rows."""
        return _tape(self.session, self.code[keep], self.begin[keep], self.end[keep])

    @cached_property
    def turns(self) -> Turns:
        """The bars by (end, code)."""
        return Turns(*in_turn(self.code, self.end, np.array(self.start)))


def _tape(session: Session, code: IntArray, begin: IntArray, end: IntArray) -> Tape:
    code, begin, end = read_only(code), read_only(begin), read_only(end)
    start, began = starts(begin, end, session.minutes)
    return Tape(session, code, begin, end, start.tolist(), began.tolist())
