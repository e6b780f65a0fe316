"""Quality: which minutes (or bins) of a session a symbol has, and the gaps between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from bt.arrays import arrow

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """The units of one interval (minutes, or bins) in some sessions, one session behind another.

    `begin` and `end` are each unit's UTC microseconds, `minutes` its length. Session s has units offset[s] to offset[s + 1].
    """

    begin: IntArray
    end: IntArray
    minutes: IntArray
    offset: IntArray


def quality(
    bounds: IntArray, jumps: IntArray, unit_of: Callable[[IntArray], IntArray], symbols: int, grid: Grid
) -> pl.DataFrame:
    """Quality of every symbol in every session of a grid.

    Parameters
    ----------
    bounds : array
        The present units of each group, session x `symbols` + code: those of group g are bounds[g] to bounds[g + 1], in order and without repeats.
    jumps : array
        Those that are not the one after the present unit before them, in order; the first of a group may be among them.
    unit_of : callable
        Of some present units their indices into `grid`.
    symbols : int
        Number of symbols.

    Returns
    -------
    DataFrame
        One row per session and symbol, in that order: code, present, expected, quality (percent),
        longest_gap_start (us, null without a gap), longest_gap_minutes and gaps, a list of (start us, end us, minutes),
        half-open, in time order and cut at breaks.
    """
    sessions = len(grid.offset) - 1
    groups = sessions * symbols
    first, stop, owner = _gaps(bounds, jumps, unit_of, grid)
    total = np.concatenate([[0], np.cumsum(grid.minutes)])
    minutes = total[stop] - total[first]
    start, end = grid.begin[first], grid.end[stop - 1]
    count = np.bincount(owner, minlength=groups)
    offset = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    has = count > 0
    order = np.lexsort((-np.arange(len(owner)), minutes, owner))
    longest = order[offset[1:][has] - 1]  # the longest; of equals the earliest
    longest_start, longest_minutes = np.zeros(groups, dtype=np.int64), np.zeros(groups, dtype=np.int64)
    longest_start[has], longest_minutes[has] = start[longest], minutes[longest]
    present = np.diff(bounds)
    expected = np.repeat(np.diff(grid.offset), symbols)
    return pl.DataFrame(
        {
            "code": np.tile(np.arange(symbols), sessions),
            "present": present,
            "expected": expected,
            "quality": np.divide(100.0 * present, expected),
            "longest_gap_start": pl.Series("longest_gap_start", arrow(longest_start, absent=~has)),
            "longest_gap_minutes": longest_minutes,
            "gaps": _lists(offset, start, end, minutes),
        }
    )


def _gaps(
    bounds: IntArray, jumps: IntArray, unit_of: Callable[[IntArray], IntArray], grid: Grid
) -> tuple[IntArray, IntArray, IntArray]:
    """Runs of missing units: first, stop (past the last), and the group each belongs to, sorted by group and time."""
    symbols = (len(bounds) - 1) // (len(grid.offset) - 1)
    low, high = (np.repeat(edge, symbols) for edge in (grid.offset[:-1], grid.offset[1:]))
    # the first unit of each group, and past its last; of an empty one its session
    before, after = low.copy(), high.copy()
    here = np.flatnonzero(np.diff(bounds))
    before[here], after[here] = unit_of(bounds[here]), unit_of(bounds[here + 1] - 1) + 1
    empty = np.flatnonzero(np.diff(bounds) == 0)
    before[empty] = high[empty]
    head, foot = np.flatnonzero(before > low), np.flatnonzero(after < high)
    owner = np.searchsorted(bounds, jumps, side="right") - 1
    inside = jumps > bounds[owner]  # not the step from one group to the next
    at, owner = jumps[inside], owner[inside]
    first = np.concatenate([low[head], unit_of(at - 1) + 1, after[foot]])
    stop = np.concatenate([before[head], unit_of(at), high[foot]])
    owner = np.concatenate([head, owner, foot])
    cuts = np.setdiff1d(np.flatnonzero(grid.begin[1:] != grid.end[:-1]) + 1, grid.offset)
    for cut in cuts:  # a break: no gap runs through it
        through = (first < cut) & (cut < stop)
        if through.any():
            first = np.concatenate([first, np.full(through.sum(), cut)])
            stop = np.concatenate([np.where(through, cut, stop), stop[through]])
            owner = np.concatenate([owner, owner[through]])
    order = np.lexsort((first, owner))
    return first[order], stop[order], owner[order]


def _lists(offset: IntArray, start: IntArray, end: IntArray, minutes: IntArray) -> pl.Series:
    """A list column: row g has items offset[g] to offset[g + 1]."""
    columns = [arrow(values.astype(np.int64, copy=False)) for values in (start, end, minutes)]
    items = pa.StructArray.from_arrays(columns, ["start", "end", "minutes"])
    made = pl.from_arrow(pa.LargeListArray.from_arrays(arrow(offset), items))
    assert isinstance(made, pl.Series)
    return made
