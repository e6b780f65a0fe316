"""A value among those of the universe at the same minute: rank, standard score, distance from the mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bt.model import Column

IntArray = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def known(column: Column) -> npt.NDArray[np.bool_]:
    """Which values are there, and numbers."""
    there = np.ones(len(column.values), dtype=bool) if column.null is None else ~column.null
    return there & ~np.isnan(column.values) if column.values.dtype.kind == "f" else there


def across(statistic: str, column: Column, moment: IntArray, counted: npt.NDArray[np.bool_]) -> Column:
    """``rank``, ``zscore`` or ``demean`` of values among those of the same `moment`; null where not `counted`.

    Rows of one moment are in symbol order, and so are their sums.
    """
    rows = np.flatnonzero(counted)
    values = column.values[rows].astype(np.float64, copy=False)
    at = moment[rows]
    made = np.full(len(counted), np.nan)
    null = ~counted
    if statistic == "rank":
        made[rows] = _rank(values, at)
    else:
        away = _away(values, at)
        if statistic == "zscore":
            spread = _spread(away, at)
            null[rows] = spread == 0
            away = np.divide(away, spread, out=np.full(len(rows), np.nan), where=spread != 0)
        made[rows] = away
    return Column(made, null if null.any() else None)


def _away(values: Floats, at: IntArray) -> Floats:
    """Distances from the mean of their moment; numpy.bincount adds row after row."""
    with np.errstate(invalid="ignore"):
        mean = np.bincount(at, weights=values) / np.bincount(at)
    return values - mean[at] if len(at) else values


def _spread(away: Floats, at: IntArray) -> Floats:
    """The population's standard deviation at each row's moment."""
    with np.errstate(invalid="ignore"):
        variance = np.bincount(at, weights=away * away) / np.bincount(at)
    return np.asarray(np.sqrt(variance[at])) if len(at) else away


def _rank(values: Floats, at: IntArray) -> Floats:
    """(average rank - 1) / (n - 1) within each moment; 0.5 where there is one."""
    n = len(values)
    if not n:
        return values
    order: Any = np.argsort(values)  # equal values share their ranks, whatever their order
    order = order[np.argsort(_dense(at)[order], kind="stable")]
    moment, value = at[order], values[order]
    turn = np.concatenate([[True], moment[1:] != moment[:-1]])
    fresh = turn.copy()
    fresh[1:] |= value[1:] != value[:-1]
    count = np.bincount(at)[moment]
    first = np.maximum.accumulate(np.where(turn, np.arange(n), 0))
    starts = np.flatnonzero(fresh)
    length = np.diff(np.append(starts, n))
    ends = np.repeat(2 * starts + length - 1, length)  # first and last of equal values, added
    made = np.full(n, 0.5)
    np.divide(ends - 2 * first, 2 * (count - 1), out=made, where=count > 1)
    out = np.empty(n)
    out[order] = made
    return out


def _dense(at: IntArray) -> npt.NDArray[np.integer[Any]]:
    """Moments as small numbers, which sort fast."""
    return at.astype(np.uint16) if int(at.max()) < 1 << 16 else at
