"""Completeness: a symbol's minutes so far against those it usually has by then, so that thin is told from broken.

What is usual is the median over the sessions before, of the minutes present up to the same minute of session. A session that
was shorter (a half day) contributes all it had; one in which the symbol has no row does not count.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bt.model import Column

Counts = npt.NDArray[np.uint16]

SESSIONS = 20
"""Sessions of the calendar that are looked back over."""

LEAST = 5
"""Of these so many must have a row of the symbol."""

ABSENT = np.iinfo(np.uint16).max
"""The count of a symbol that has no row in a session."""


def usual(counts: Counts) -> npt.NDArray[np.int32]:
    """Twice the median over sessions of present minutes (twice: a whole number), 0 where nothing can be said.

    That is where fewer than `LEAST` sessions have a row of the symbol, and where the median is 0.

    Parameters
    ----------
    counts : uint16 array (sessions, ...)
        Present minutes, `ABSENT` for a session without a row. It is sorted in place.
    """
    made: npt.NDArray[np.int32] = np.zeros(counts.shape[1:], dtype=np.int32)
    used = (counts != ABSENT).sum(axis=0)
    counts.sort(axis=0)  # absent ones last
    for n in range(LEAST, len(counts) + 1):
        here = used == n
        if here.all():
            made[:] = counts[(n - 1) // 2]
            made += counts[n // 2]
        elif here.any():
            made[here] = counts[(n - 1) // 2][here].astype(np.int32) + counts[n // 2][here]
    return made


def completeness(present: npt.NDArray[Any], twice: npt.NDArray[np.int32]) -> Column:
    """Percent of what is usual, at most 100; not known where `twice` the usual is 0."""
    null = twice == 0
    values = np.minimum(np.divide(200.0 * present, np.where(null, 1, twice)), 100.0)
    return Column(np.where(null, np.nan, values), null if null.any() else None)
