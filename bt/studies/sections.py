"""Features across symbols, one cross-section after another: ranks, quantiles, and what changed since the one before."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import polars as pl

from bt.errors import UsageError
from bt.model import Int64Array
from bt.studies.asked import check_whole, check_within, require
from bt.studies.statistics import Floats, ascending, centred_ranks, correlation, finite, numbered, ratio

TIMES = ("close_time", "known_at")
Within = Literal["session"] | None


@dataclass(frozen=True)
class After:
    """A column of returns, NaN where not known, and the rows where it is, by moment and value."""

    values: Floats
    order: Int64Array


@dataclass(frozen=True)
class Sections:
    """The rows of a frame by cross-section. What several questions need is worked out once.

    `by` is the column that tells cross-sections apart, `moments` its sorted values, and `at` each row's number among them. `values` is the
    feature, NaN where it is null or not finite. `sessions` numbers the session of each moment, None without a column session.
    """

    frame: pl.DataFrame
    by: str
    moments: pl.Series
    at: Int64Array
    values: Floats
    sessions: Int64Array | None
    _kept: dict[str, After] = field(default_factory=dict, repr=False)

    @cached_property
    def order(self) -> Int64Array:
        """The rows that have the feature, by moment and value."""
        return ascending(self.at, self.values)

    @cached_property
    def names(self) -> Int64Array:
        """Each row's moment and symbol as one number."""
        return self.at * self._symbols + self._symbol[0]

    @cached_property
    def by_name(self) -> Int64Array:
        """The rows by moment and symbol."""
        return np.argsort(self.names, kind="stable")

    @property
    def single(self) -> bool:
        """Whether no symbol is twice in a moment."""
        names = self.names[self.by_name]
        return not (names[1:] == names[:-1]).any()

    def after(self, column: str) -> After:
        """What came after each row."""
        if column not in self._kept:
            values = finite(self.frame, column)
            self._kept[column] = After(values, ascending(self.at, values))
        return self._kept[column]

    def earlier_row(self, earlier: Int64Array) -> Int64Array:
        """The row of the same symbol in the moment `earlier` than each row's; -1 where there is none."""
        before = earlier[self.at]
        sought = np.where(before >= 0, before * self._symbols + self._symbol[0], -1)
        sorted_names = self.names[self.by_name]
        place = np.minimum(np.searchsorted(sorted_names, sought), max(len(sorted_names) - 1, 0))
        if not len(sorted_names):
            return place
        return np.where(sorted_names[place] == sought, self.by_name[place], -1)

    @cached_property
    def _symbol(self) -> tuple[Int64Array, pl.Series]:
        return numbered(self.frame["symbol"])

    @property
    def _symbols(self) -> int:
        return len(self._symbol[1])

    def keys(self, **columns: Floats | Int64Array) -> pl.DataFrame:
        """A frame of the moments and a column for each array, NaN as null."""
        told = {
            name: pl.Series(v).fill_nan(None) if v.dtype.kind == "f" else pl.Series(v) for name, v in columns.items()
        }
        return pl.DataFrame({self.by: self.moments, **told})

    def earlier(self, lag: int, within: Within, source: str) -> Int64Array:
        """The number of the moment `lag` moments before each, -1 where there is none or it is of another session and `within` says so.

        Raises
        ------
        UsageError
            The frame has no column session where it is needed.
        """
        check_within(within, source)
        check_whole(lag, 1, source, "lag")
        before = np.arange(len(self.moments)) - lag
        before[before < 0] = -1
        if within == "session" and self.by != "session":
            if self.sessions is None:
                raise UsageError(f"{source}: the frame must have a column 'session'; or say within=None")
            before[self.sessions[before] != self.sessions] = -1
        return before


def sections(frame: pl.DataFrame, feature: str, by: str, source: str) -> Sections:
    """The cross-sections of `frame`: "time" is close_time, or known_at where there is none; else a column's name.

    Raises
    ------
    UsageError
        A column is missing, the feature is no number, `by` is null somewhere, or a symbol is twice in a moment.
    """
    if by == "time":
        by = next((c for c in TIMES if c in frame.columns), TIMES[0])
    require(frame, {"symbol": pl.String, feature: None, by: None}, source)
    kind = frame.schema[feature]
    if not (kind.is_numeric() or kind == pl.Boolean):
        raise UsageError(f"{source}: feature {feature!r} must be a number, was {kind}")
    if frame[by].null_count():
        raise UsageError(f"{source}: column {by!r} must not be null, was in {frame[by].null_count()} rows")
    at, moments = numbered(frame[by])
    found = Sections(frame, by, moments, at, finite(frame, feature), _sessions(frame, at, len(moments)))
    if by in TIMES and not found.single:
        raise UsageError(f"{source}: a symbol must have one row at a moment; give rows of one interval")
    return found


def _sessions(frame: pl.DataFrame, at: Int64Array, moments: int) -> Int64Array | None:
    if "session" not in frame.columns:
        return None
    number, _ = numbered(frame["session"])
    found = np.zeros(moments, np.int64)
    found[at] = number
    return found


def quantile(found: Sections, quantiles: int, source: str) -> Int64Array:
    """The quantile of each row in its cross-section, 1 the lowest; 0 where the feature is not known or fewer symbols than quantiles have it.

    Equal values are in one quantile, that of their middle rank.

    Raises
    ------
    UsageError
        `quantiles` is no whole number of at least 2.
    """
    check_whole(quantiles, 2, source, "quantiles")
    order = found.order
    at = found.at[order]
    size = np.bincount(at, minlength=len(found.moments))[at]
    twice = centred_ranks(found.at, found.values, order)[order] + size - 1  # twice the rank from 0
    number = np.maximum(-(-twice * quantiles // np.maximum(2 * (size - 1), 1)), 1)
    made = np.zeros(len(found.at), np.int64)
    made[order] = np.where(size >= quantiles, number, 0)
    return made


def turnover_of(found: Sections, group: Int64Array, quantiles: int, earlier: Int64Array) -> tuple[Int64Array, Floats]:
    """By moment and quantile (moments, quantiles): how many names it has, and the share of them that it had not `earlier`; NaN where nothing is to be compared."""
    row = found.earlier_row(earlier)
    in_one = group > 0
    held = in_one & (row >= 0) & (group[row] == group)
    cell = found.at * quantiles + group - 1
    shape = (len(found.moments), quantiles)
    names = np.bincount(cell[in_one], minlength=shape[0] * quantiles).reshape(shape)
    kept = np.bincount(cell[held], minlength=shape[0] * quantiles).reshape(shape)
    any_before = (earlier >= 0) & (names.sum(axis=1)[earlier] > 0)
    share = np.where(any_before[:, None], ratio(names - kept, names), np.nan)
    return names, share


def rank_correlation(found: Sections, earlier: Int64Array) -> tuple[Int64Array, Floats]:
    """By moment, how many names have the feature then and `earlier`, and the correlation of their ranks among all that have it."""
    row = found.earlier_row(earlier)
    ranks = centred_ranks(found.at, found.values, found.order)
    there = np.isfinite(found.values)
    both = np.flatnonzero(there & (row >= 0) & there[row])
    at, n = found.at[both], len(found.moments)
    return np.bincount(at, minlength=n), correlation(at, ranks[both], ranks[row[both]], n)


def information(found: Sections, column: str) -> tuple[Int64Array, Floats]:
    """By moment, how many names have the feature and what came after, and Spearman's rank correlation of both."""
    after = found.after(column)
    both = np.isfinite(found.values) & np.isfinite(after.values)
    x = centred_ranks(found.at, found.values, found.order[both[found.order]])
    y = centred_ranks(found.at, after.values, after.order[both[after.order]])
    at, n = found.at[both], len(found.moments)
    return np.bincount(at, minlength=n), correlation(at, x[both], y[both], n)
