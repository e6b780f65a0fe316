"""Features across symbols, one cross-section after another: ranks, quantiles, and what changed since the one before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.errors import UsageError
from bt.model import Int64Array
from bt.studies.asked import check_whole, check_within, require
from bt.studies.statistics import Floats, centred_ranks, correlation, finite, numbered

TIMES = ("close_time", "known_at")
Within = Literal["session"] | None


@dataclass(frozen=True)
class Sections:
    """The rows of a frame by cross-section.

    `by` is the column that tells cross-sections apart, `moments` its sorted values, and `at` each row's number among them. `values` is the
    feature, NaN where it is null or not finite. `sessions` numbers the session of each moment, None without a column session.
    """

    frame: pl.DataFrame
    by: str
    moments: pl.Series
    at: Int64Array
    values: Floats
    sessions: Int64Array | None

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
    if by in TIMES and frame.select("symbol", by).is_duplicated().any():
        raise UsageError(f"{source}: a symbol must have one row at a moment; give rows of one interval")
    at, moments = numbered(frame[by])
    return Sections(frame, by, moments, at, finite(frame, feature), _sessions(frame, at, len(moments)))


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
    there = np.isfinite(found.values)
    at = found.at[there]
    size = np.bincount(at, minlength=len(found.moments))[at]
    twice = centred_ranks(at, found.values[there]) + size - 1  # twice the rank from 0
    number = np.maximum(-(-twice * quantiles // np.maximum(2 * (size - 1), 1)), 1)
    made = np.zeros(len(found.at), np.int64)
    made[there] = np.where(size >= quantiles, number, 0)
    return made


def turnover_of(found: Sections, group: Int64Array, quantiles: int, earlier: Int64Array) -> tuple[Int64Array, Floats]:
    """By moment and quantile (moments, quantiles): how many names it has, and the share of them that it had not `earlier`; NaN where nothing is to be compared."""
    at = found.at
    symbol, symbols = numbered(found.frame["symbol"])
    in_one = group > 0
    held = np.zeros(len(at), bool)
    key = (at * len(symbols) + symbol) * (quantiles + 1) + group
    before = earlier[at]
    sought = (before * len(symbols) + symbol) * (quantiles + 1) + group
    held[in_one] = np.isin(sought[in_one], key[in_one]) & (before[in_one] >= 0)
    cell = at * quantiles + group - 1
    shape = (len(found.moments), quantiles)
    names = np.bincount(cell[in_one], minlength=shape[0] * quantiles).reshape(shape)
    kept = np.bincount(cell[in_one & held], minlength=shape[0] * quantiles).reshape(shape)
    any_before = (earlier >= 0) & (names.sum(axis=1)[earlier] > 0)
    share = np.divide(names - kept, names, out=np.full(shape, np.nan), where=(names > 0) & any_before[:, None])
    return names, share


def rank_correlation(found: Sections, earlier: Int64Array) -> tuple[Int64Array, Floats]:
    """By moment, how many names have the feature then and `earlier`, and the correlation of their ranks among all that have it."""
    there = np.flatnonzero(np.isfinite(found.values))
    at = found.at[there]
    symbol, symbols = numbered(found.frame["symbol"])
    ranks = centred_ranks(at, found.values[there])
    key = at * len(symbols) + symbol[there]
    order = np.argsort(key)
    sought = np.where(earlier[at] >= 0, earlier[at] * len(symbols) + symbol[there], -1)
    place = np.minimum(np.searchsorted(key[order], sought), max(len(order) - 1, 0))
    match: npt.NDArray[np.bool_] = key[order][place] == sought if len(order) else np.zeros(0, bool)
    x, y = ranks[match], ranks[order][place[match]]
    n = len(found.moments)
    return np.bincount(at[match], minlength=n), correlation(at[match], x, y, n)


def information(found: Sections, after: Floats) -> tuple[Int64Array, Floats]:
    """By moment, how many names have the feature and what came `after`, and Spearman's rank correlation of both."""
    there = np.isfinite(found.values) & np.isfinite(after)
    at, n = found.at[there], len(found.moments)
    x, y = (centred_ranks(at, v[there]) for v in (found.values, after))
    return np.bincount(at, minlength=n), correlation(at, x, y, n)
