"""Guards: which rows of a window are shown, and why every other one is withheld.

A row outside every segment is withheld by the clock; a row inside by its values (`schema.fault_code`) or by a second row for
the same minute. What is left is canonical: sorted by (session, symbol, slot), one row a minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.schema import BAR_COLUMNS, CONFLICT, DUPLICATE, FAULT_REASONS, OK

IntArray = npt.NDArray[np.int64]

OUTSIDE = {-1: "no_session", -2: "before_open", -3: "in_break", -4: "closing_print", -5: "after_close"}
BEFORE_OPEN, CLOSING_PRINT, AFTER_CLOSE = -2, -4, -5


@dataclass(frozen=True)
class Withheld:
    """Withheld rows: code, session (of the window), time (us), reason."""

    frame: pl.DataFrame


@cache
def nothing_withheld() -> pl.DataFrame:
    """The frame of no withheld rows."""
    return pl.DataFrame(schema={"session": pl.Int32, "code": pl.Int64, "time": pl.Int64, "reason": pl.String})


@cache
def _nothing_reported() -> pl.DataFrame:
    return _report(nothing_withheld())


def withheld(session: IntArray, code: IntArray, time: IntArray, reason: list[str] | npt.NDArray[np.str_]) -> Withheld:
    """Withheld rows from parallel arrays."""
    return Withheld(
        pl.DataFrame(
            {
                "session": session.astype(np.int32),
                "code": code.astype(np.int64),
                "time": time.astype(np.int64),
                "reason": pl.Series(reason, dtype=pl.String),
            }
        )
    )


def outside(session: IntArray, code: IntArray, time: IntArray, slot: IntArray, close: IntArray) -> Withheld:
    """Rows outside every segment with their reason.

    `slot` holds the clock's verdict (-1 no_session, -2 before_open, -3 in_break, -5 after the close), `close` the close
    of every session of the window (us). A row stamped at the close, alone at or after it, is the closing print.
    """
    after = time >= close[session]  # a row on a later day that is no session is one of them
    group = session * (int(code.max(initial=0)) + 1) + code
    _, inverse, count = np.unique(group[after], return_inverse=True, return_counts=True)
    print_ = np.zeros(len(slot), dtype=bool)
    print_[after] = (count[inverse] == 1) & (time[after] == close[session[after]]) & (slot[after] == AFTER_CLOSE)
    verdict = np.where(print_, CLOSING_PRINT, slot)
    names = np.array([OUTSIDE[v] for v in (-1, -2, -3, -4, -5)])
    return withheld(session, code, time, names[-verdict - 1])


def duplicates(frame: pl.DataFrame) -> pl.Series:
    """Fault codes with second rows of the same (session, code, slot) marked DUPLICATE or CONFLICT.

    `frame` has session, code, slot, open, high, low, close, volume and fault; only rows with fault OK take part.
    """
    where = ("session", "code", "slot", "fault")
    same = pl.struct(*BAR_COLUMNS)
    made = frame.with_columns(
        pl.len().over(where).alias("__n"),
        same.n_unique().over(where).alias("__kinds"),
        pl.int_range(pl.len()).over(where).alias("__number"),
    ).select(
        pl.when((pl.col("fault") != OK) | (pl.col("__n") == 1))
        .then("fault")
        .when(pl.col("__kinds") > 1)
        .then(pl.lit(CONFLICT, dtype=pl.UInt8))
        .when(pl.col("__number") > 0)
        .then(pl.lit(DUPLICATE, dtype=pl.UInt8))
        .otherwise(pl.lit(OK, dtype=pl.UInt8))
        .alias("fault")
    )
    return made["fault"]


def fault_names(fault: npt.NDArray[np.integer]) -> npt.NDArray[np.str_]:
    """The reason of each fault code (none may be OK)."""
    names: npt.NDArray[np.str_] = np.array(FAULT_REASONS)[fault - 1]
    return names


def report(frame: pl.DataFrame) -> pl.DataFrame:
    """The guard report of withheld rows: session, code, reason, rows, first_time, last_time, sample (up to 3 times)."""
    return _nothing_reported() if frame.is_empty() else _report(frame)


def _report(frame: pl.DataFrame) -> pl.DataFrame:
    return (
        frame.sort("session", "code", "reason", "time", maintain_order=True)
        .group_by("session", "code", "reason", maintain_order=True)
        .agg(
            pl.len().cast(pl.Int64).alias("rows"),
            pl.col("time").first().alias("first_time"),
            pl.col("time").last().alias("last_time"),
            pl.col("time").head(3).alias("sample"),
        )
    )
