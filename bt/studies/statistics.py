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


def ascending(group: Int64Array, values: Floats) -> Int64Array:
    """The rows whose values are finite, by group and then by value."""
    there = np.flatnonzero(np.isfinite(values))
    return there[np.lexsort((values[there], group[there]))]


def moments(group: Int64Array, values: Floats, groups: int, order: Int64Array | None = None) -> Moments:
    """Moments of the finite `values` by `group` (0 to `groups` - 1).

    They are summed in order of size, so that the same values always give the same bits. `order` are the rows that count, so that values ascend within each
    group; by default they are sorted here.
    """
    order = ascending(group, values) if order is None else order
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


def centred_ranks(group: Int64Array, values: Floats, order: Int64Array) -> Int64Array:
    """Twice the rank of each value among those of its group, less n + 1: whole numbers that sum to 0, ties in their middle.

    `order` are the rows that are ranked, as `ascending` gives them; the others have 0.
    """
    ranks = np.zeros(len(values), np.int64)
    if len(order):
        g, v = group[order], values[order]
        new_group = np.concatenate([[True], g[1:] != g[:-1]])
        new_value = new_group | np.concatenate([[True], v[1:] != v[:-1]])
        begins, ends = _runs(new_group)
        first, last = _runs(new_value)
        ranks[order] = (first - begins + last - begins + 2) - (ends - begins + 2)
    return ranks


def _runs(starts: npt.NDArray[np.bool_]) -> tuple[Int64Array, Int64Array]:
    """For every row, the first and the last row of its run."""
    first = np.flatnonzero(starts)
    number = np.cumsum(starts) - 1
    last = np.append(first[1:] - 1, len(starts) - 1)
    return first[number], last[number]


def correlation(group: Int64Array, x: Int64Array, y: Int64Array, groups: int) -> Floats:
    """Pearson's correlation of whole numbers by group, NaN where one of them does not vary. Sums are exact."""
    n, sx, sy, sxx, syy, sxy = (_sums(group, w, groups) for w in (np.ones_like(x), x, y, x * x, y * y, x * y))
    both = np.sqrt((n * sxx - sx * sx).astype(np.float64) * (n * syy - sy * sy).astype(np.float64))
    return ratio(n * sxy - sx * sy, both)


def _sums(group: Int64Array, values: Int64Array, groups: int) -> Int64Array:
    """Sums by group: exact, since ranks of 200,000 rows and their squares stay below 2^53."""
    return np.bincount(group, weights=values, minlength=groups).astype(np.int64)


def finite(frame: pl.DataFrame, column: str) -> Floats:
    """A column as floats, NaN where it is null or infinite."""
    values = frame[column].cast(pl.Float64).to_numpy().copy()
    values[~np.isfinite(values)] = np.nan
    return values


def numbered(column: pl.Series) -> tuple[Int64Array, pl.Series]:
    """Each value's number among the sorted distinct ones, and these."""
    distinct = column.unique().sort()
    if column.dtype == pl.String:
        return column.cast(pl.Enum(distinct)).to_physical().to_numpy().astype(np.int64), distinct
    return distinct.search_sorted(column).to_numpy().astype(np.int64), distinct


def known(values: Floats) -> pl.Series:
    """Floats as a column, NaN as null."""
    return pl.Series(values, dtype=pl.Float64).fill_nan(None)
