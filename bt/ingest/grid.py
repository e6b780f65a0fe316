"""Whether stamps lie on a grid coarser than one minute."""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from bt.schema import MINUTE

ENOUGH = 4
"""Distinct stamps from which a 5-minute grid is no accident (one chance in 625); two or three need 30 minutes."""


class Grid:
    """The greatest step, counted from midnight UTC, on which every stamp seen so far lies."""

    def __init__(self) -> None:
        self._step = 0
        self._distinct: set[int] = set()

    def add(self, time: pl.Series) -> None:
        """See more stamps, UTC microseconds; those off the minute count as none."""
        values = time.to_numpy()
        minutes = values[values % MINUTE == 0] // MINUTE
        if self._step == 1 or len(minutes) == 0:
            return
        self._step = math.gcd(self._step, int(np.gcd.reduce(minutes)))
        if len(self._distinct) < ENOUGH:
            self._distinct.update(np.unique(minutes)[:ENOUGH].tolist())

    @property
    def minutes(self) -> int:
        """Minutes of the grid; 1 when the stamps show minutes, or are too few to tell."""
        enough = 5 if len(self._distinct) >= ENOUGH else 30
        return self._step if len(self._distinct) > 1 and self._step >= enough else 1
