"""Quality: which minutes (or bins) of a session a symbol has, and the gaps between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """The units of one interval in one session: minutes or bins.

    `begin` and `end` are each unit's UTC microseconds, `minutes` its length; all of length n_units.
    """

    begin: IntArray
    end: IntArray
    minutes: IntArray


def percent(present: IntArray, expected: int) -> npt.NDArray[np.float64]:
    """100 x present / expected."""
    return np.asarray(np.divide(100.0 * present, expected))


def session_quality(code: npt.NDArray[np.integer], unit: IntArray, symbols: int, grid: Grid) -> pl.DataFrame:
    """Quality of every symbol in one session.

    Parameters
    ----------
    code, unit : arrays
        Symbol and unit (index into `grid`) of each present unit, sorted by (code, unit), without repeats.
    symbols : int
        Number of symbols; one row each comes back, in code order.

    Returns
    -------
    DataFrame with code, present, expected, quality (percent), longest_gap_start (us, null without a gap),
    longest_gap_minutes and gaps, a list of (start us, end us, minutes), half-open and in time order.
    """
    n = len(grid.begin)
    present = np.bincount(code, minlength=symbols).astype(np.int64)
    # Each symbol's units with a sentinel before and behind: a gap is a step of more than one.
    length = present + 2
    last = np.cumsum(length) - 1
    line = np.empty(int(length.sum()), dtype=np.int64)
    line[last] = n
    line[last - length + 1] = -1
    inner = np.ones(len(line), dtype=bool)
    inner[last] = inner[last - length + 1] = False
    line[inner] = unit
    step = np.diff(line)
    at = np.flatnonzero(step > 1)
    first, stop = line[at] + 1, line[at + 1]
    owner = np.searchsorted(last, at, side="left")
    for cut in np.flatnonzero(grid.begin[1:] != grid.end[:-1]) + 1:  # a break: no gap runs through it
        through = (first < cut) & (cut < stop)
        if through.any():
            first = np.concatenate([first, np.full(through.sum(), cut)])
            stop = np.concatenate([np.where(through, cut, stop), stop[through]])
            owner = np.concatenate([owner, owner[through]])
            order = np.lexsort((first, owner))
            first, stop, owner = first[order], stop[order], owner[order]
    total = np.concatenate([[0], np.cumsum(grid.minutes)])
    minutes = total[stop] - total[first]
    start, end = grid.begin[first], grid.end[stop - 1]
    count = np.bincount(owner, minlength=symbols)
    offset = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    longest = np.full(symbols, -1, dtype=np.int64)
    order = np.lexsort((-np.arange(len(owner)), minutes, owner))
    has = count > 0
    longest[has] = order[offset[1:][has] - 1]  # the longest; of equals the earliest
    gaps = (
        pl.DataFrame({"owner": owner, "start": start, "end": end, "minutes": minutes.astype(np.int32)})
        .group_by("owner", maintain_order=True)
        .agg(pl.struct("start", "end", "minutes").alias("gaps"))
    )
    frame = pl.DataFrame(
        {
            "code": np.arange(symbols),
            "present": present.astype(np.int32),
            "expected": np.full(symbols, n, dtype=np.int32),
            "quality": percent(present, n),
            "longest_gap_start": pl.Series(start[longest] if len(start) else np.zeros(symbols, np.int64)),
            "longest_gap_minutes": (minutes[longest] if len(start) else np.zeros(symbols)).astype(np.int32),
        }
    ).with_columns(
        pl.when(pl.Series(has)).then("longest_gap_start").alias("longest_gap_start"),
        pl.when(pl.Series(has)).then("longest_gap_minutes").otherwise(0).cast(pl.Int32).alias("longest_gap_minutes"),
    )
    empty = pl.lit([], dtype=gaps.schema["gaps"])
    return frame.join(gaps, left_on="code", right_on="owner", how="left", maintain_order="left").with_columns(
        pl.col("gaps").fill_null(empty)
    )
