"""Means and ranks within groups of rows. They depend on the values alone, not on the order of the rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.model import Int64Array

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Of each group: how many values, their mean, and their standard deviation (n - 1; NaN of a single one)."""

    count: Int64Array
    mean: Floats
    std: Floats

    @property
    def std_error(self) -> Floats:
        """std / sqrt(count)."""
        return self.std / np.sqrt(self.count)

    @property
    def t_stat(self) -> Floats:
        """mean / std_error, NaN where nothing varies."""
        return ratio(self.mean, self.std_error)


def moments(group: Int64Array, values: Floats, groups: int) -> Moments:
    """Moments of the finite `values` by `group` (0 to `groups` - 1). They are summed in order of size, so that the same values always give the same bits."""
    there = np.isfinite(values)
    group, values = group[there], values[there]
    order = np.lexsort((values, group))
    group, values = group[order], values[order]
    count = np.bincount(group, minlength=groups)
    mean = ratio(np.bincount(group, weights=values, minlength=groups), count)
    squares = np.bincount(group, weights=(values - mean[group]) ** 2, minlength=groups)
    return Moments(count, mean, np.sqrt(ratio(squares, count - 1)))


def ratio(numerator: npt.NDArray[np.number], denominator: npt.NDArray[np.number]) -> Floats:
    """numerator / denominator, NaN where the denominator is not above 0."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    made: Floats = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
    return made


def centred_ranks(group: Int64Array, values: npt.NDArray[np.number]) -> Int64Array:
    """Twice the rank of each value among those of its group, less n + 1: whole numbers that sum to 0, ties in their middle."""
    n = len(values)
    if not n:
        return np.zeros(0, np.int64)
    order = np.lexsort((values, group))
    g, v = group[order], values[order]
    new_group = np.concatenate([[True], g[1:] != g[:-1]])
    new_value = new_group | np.concatenate([[True], v[1:] != v[:-1]])
    at = np.arange(n)
    begins, ends = _runs(new_group, at)
    first, last = _runs(new_value, at)
    ranks = np.empty(n, np.int64)
    ranks[order] = (first - begins + last - begins + 2) - (ends - begins + 2)
    return ranks


def _runs(starts: npt.NDArray[np.bool_], at: Int64Array) -> tuple[Int64Array, Int64Array]:
    """For every row, the first and the last row of its run."""
    first = np.flatnonzero(starts)
    number = np.cumsum(starts) - 1
    last = np.append(first[1:] - 1, len(at) - 1)
    return first[number], last[number]


def correlation(group: Int64Array, x: Int64Array, y: Int64Array, groups: int) -> Floats:
    """Pearson's correlation of whole numbers by group, NaN where one of them does not vary. Sums are exact."""
    n, sx, sy, sxx, syy, sxy = (_sums(group, w, groups) for w in (np.ones_like(x), x, y, x * x, y * y, x * y))
    both = np.sqrt((n * sxx - sx * sx).astype(np.float64) * (n * syy - sy * sy).astype(np.float64))
    return ratio(n * sxy - sx * sy, both)


def _sums(group: Int64Array, values: Int64Array, groups: int) -> Int64Array:
    made = np.zeros(groups, np.int64)
    np.add.at(made, group, values)
    return made


def finite(frame: pl.DataFrame, column: str) -> Floats:
    """A column as floats, NaN where it is null or infinite."""
    values = frame[column].cast(pl.Float64).to_numpy().copy()
    values[~np.isfinite(values)] = np.nan
    return values


def numbered(column: pl.Series) -> tuple[Int64Array, pl.Series]:
    """Each value's number among the sorted distinct ones, and these."""
    distinct = column.unique().sort()
    return distinct.search_sorted(column).to_numpy().astype(np.int64), distinct


def known(values: Floats) -> pl.Series:
    """Floats as a column, NaN as null."""
    return pl.Series(values, dtype=pl.Float64).fill_nan(None)
