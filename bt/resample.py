"""Coarser bars from minute bars, anchored at each segment's open and clipped at its close.

Minute rows arrive in canonical order: sorted by group (one symbol in one session) and slot (minute of session). `Bins` knows
where the bins of one interval lie in each session of a window; `plan` is the lazy aggregation; `finish` turns its keys into
times. A bin is visible at its end by the clock, whether or not its last minutes are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.model import Session
from bt.schema import DAY, MINUTE

IntArray = npt.NDArray[np.int64]

AGGREGATION = {
    "open": pl.col("open").first(),
    "high": pl.col("high").max(),
    "low": pl.col("low").min(),
    "close": pl.col("close").last(),
    "volume": pl.col("volume").sum(),
}
PERIOD, BREAK, EARLY_CLOSE, CLOSE = range(4)
CLOSED_BY = ("period", "break", "early_close", "close")
"""How a bin ended, by its code."""


@dataclass(frozen=True)
class Bins:
    """The bins of one interval in the sessions of a window; one entry a bin, all sessions in one row.

    `begin` and `end` are slots (the bin holds slots begin <= s < end), `open_time` and `close_time` UTC microseconds,
    `offset` the first bin of each session (with the total appended). `padded` maps a slot, per session, to a position
    in which every bin starts at a multiple of `every`; `stride` is the room of one group there.
    """

    interval: int
    every: int
    stride: int
    padded: npt.NDArray[np.int32]
    begin: IntArray
    end: IntArray
    open_time: IntArray
    close_time: IntArray
    closed_by: npt.NDArray[np.uint8]
    offset: IntArray

    @property
    def expected(self) -> IntArray:
        """Minutes of each bin."""
        return self.end - self.begin


def session_bins(session: Session, interval: int) -> list[tuple[int, int, int, int, int]]:
    """``(begin slot, end slot, open_time, close_time, closed_by)`` of every bin of `interval` minutes in a session."""
    if interval == DAY:
        by = EARLY_CLOSE if session.early_close else CLOSE
        return [(0, session.minutes, session.open, session.close, by)]
    bins, slot = [], 0
    for number, (opened, closed) in enumerate(session.segments):
        minutes = (closed - opened) // MINUTE
        last = number == len(session.segments) - 1
        for begin in range(0, minutes, interval):
            end = min(begin + interval, minutes)
            if end - begin == interval:
                by = PERIOD
            elif not last:
                by = BREAK
            else:
                by = EARLY_CLOSE if session.early_close else CLOSE
            bins.append((slot + begin, slot + end, opened + begin * MINUTE, opened + end * MINUTE, by))
        slot += minutes
    return bins


def window_bins(sessions: Sequence[Session], interval: int) -> Bins:
    """The bins of `interval` minutes (or DAY) in each of `sessions`."""
    most = max(s.minutes for s in sessions)
    tables = [session_bins(s, interval) for s in sessions]
    every = most if interval == DAY else interval
    most_bins = max(len(t) for t in tables)
    padded = np.zeros((len(sessions), most), dtype=np.int32)
    for i, table in enumerate(tables):
        for number, (begin, end, *_) in enumerate(table):
            padded[i, begin:end] = number * every + np.arange(end - begin)
    flat = np.array([row for table in tables for row in table], dtype=np.int64).reshape(-1, 5)
    offset = np.concatenate([[0], np.cumsum([len(t) for t in tables])]).astype(np.int64)
    return Bins(
        interval, every, most_bins * every, padded, flat[:, 0], flat[:, 1], flat[:, 2], flat[:, 3],
        flat[:, 4].astype(np.uint8), offset,
    )  # fmt: skip


def keys(bins: Bins, group: IntArray, session: npt.NDArray[np.integer], slot: npt.NDArray[np.integer]) -> pl.Series:
    """The sorted integer key of each minute row: the window of `every` steps that starts at the row's bin."""
    return pl.Series("key", group * bins.stride + bins.padded[session, slot]).set_sorted()


def plan(minutes: pl.LazyFrame, key: pl.Series, every: int, columns: Sequence[str]) -> pl.LazyFrame:
    """One row per non-empty bin: key, n_obs and the aggregates of `columns`, in key order."""
    frame = minutes.with_columns(key)
    made = [AGGREGATION[c] for c in columns if c in AGGREGATION]
    return frame.group_by_dynamic("key", every=f"{every}i", closed="left", label="left").agg(
        pl.len().cast(pl.Int32).alias("n_obs"), *made
    )


def finish(
    frame: pl.DataFrame, bins: Bins, group_session: npt.NDArray[np.integer]
) -> tuple[pl.DataFrame, IntArray, IntArray]:
    """The bins' frame with n_obs, n_expected, closed_by (code) and times, the group of each row and its bin.

    `group_session` is the window's session of each group.
    """
    key = frame["key"].to_numpy()
    group = key // bins.stride
    number = (key - group * bins.stride) // bins.every
    at = bins.offset[group_session[group]] + number
    made = frame.drop("key").with_columns(
        pl.Series("n_expected", bins.expected[at].astype(np.int32)),
        pl.Series("closed_by", bins.closed_by[at]),
        pl.Series("begin", bins.begin[at].astype(np.int32)),
        pl.Series("end", bins.end[at].astype(np.int32)),
        pl.Series("time", bins.open_time[at]),
        pl.Series("close_time", bins.close_time[at]),
    )
    return made, group, at
