"""What a calendar says about bars: how many lie outside every segment, and whether the stamps look unlike what was declared."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bt.model import Schedule
from bt.schema import MINUTE

RATIO = 20
"""How many times rarer bars at one edge of the segments must be than bars at the other for the stamps to look shifted."""


class Edges:
    """Counts of bars outside the segments and at their edges.

    Bars of regular hours stamped at the start begin at each open and end a minute before each close. Taken as start stamps, end stamps have
    no bar at the open and one at the close; taken as end stamps, start stamps have a bar a minute before the open and none a minute before
    the close. Data with extended hours has bars at all of these and proves nothing.
    """

    def __init__(self, schedule: Schedule, stamp: str) -> None:
        self._open = schedule.segment_open
        self._close = schedule.segment_close
        self._stamp = stamp
        self.outside = 0
        self._early = self._at_open = self._last = self._at_close = 0

    def add(self, time: npt.NDArray[np.int64]) -> None:
        """See the open_times of more bars, UTC microseconds."""
        if len(self._open) == 0:
            self.outside += len(time)
            return
        segment = np.searchsorted(self._open, time, side="right") - 1
        inside = (segment >= 0) & (time < self._close[np.maximum(segment, 0)])
        self.outside += int((~inside).sum())
        self._early += _among(time + MINUTE, self._open)
        self._at_open += _among(time, self._open)
        self._last += _among(time + MINUTE, self._close)
        self._at_close += _among(time, self._close)

    @property
    def looks(self) -> str:
        """``end`` or ``start`` when the stamps look like that though the other was declared, else ""."""
        if self._stamp == "start" and self._at_close > RATIO * self._at_open:
            return "end"
        if self._stamp == "end" and self._early > RATIO * self._last and self._at_open:
            return "start"
        return ""


def _among(time: npt.NDArray[np.int64], edges: npt.NDArray[np.int64]) -> int:
    place = np.minimum(np.searchsorted(edges, time), len(edges) - 1)
    return int((edges[place] == time).sum())
