"""Returns of an account by session, by month and by minute of the session."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]


def session_returns(minutes: pl.DataFrame, start: float) -> pl.DataFrame:
    """One row a session: session, equity at its close (currency), return (a fraction of the close before, first of `start`).

    Null where the equity before is not above 0. `minutes` is `account`'s frame.
    """
    closes = minutes.group_by("session", maintain_order=True).agg(pl.col("equity").last()).sort("session")
    worth = closes["equity"].to_numpy()
    before = np.concatenate([[start], worth[:-1]])
    return closes.with_columns(pl.Series("return", _changes(before, worth)).fill_nan(None))


def by_month(sessions: pl.DataFrame, start: float) -> pl.DataFrame:
    """One row a month of the sessions' dates: year, month, return (a fraction: equity at the month's last close / at the one before - 1).

    That is what compounding the session returns gives. `sessions` is `session_returns`' frame.
    """
    date = pl.col("session")
    ends = (
        sessions.group_by(date.dt.year().alias("year"), date.dt.month().alias("month"), maintain_order=True)
        .agg(pl.col("equity").last())
        .sort("year", "month")
    )
    worth = ends["equity"].to_numpy()
    changes = _changes(np.concatenate([[start], worth[:-1]]), worth)
    return ends.with_columns(pl.Series("return", changes).fill_nan(None)).drop("equity")


def by_minute(minutes: pl.DataFrame, start: float, most: int = 130) -> pl.DataFrame:
    """What a minute of the session brings on average: first and last minute of the bin (0 the session's first), return (mean over sessions of the bin's
    return, a fraction), sessions that have it.

    A session's first minute holds what the night brought. Bins are of as many whole minutes as keep their number at or below `most`; half days end
    earlier and count where they are open. Minutes after equity that is not above 0 are left out.
    """
    worth = minutes["equity"].to_numpy()
    change = _changes(np.concatenate([[start], worth[:-1]]), worth)
    numbered = minutes.select("session", pl.int_range(pl.len()).over("session").alias("minute"))
    longest = 0 if not minutes.height else int(numbered["minute"].to_numpy().max()) + 1
    width = max(-(-longest // most), 1)
    # summed over a bin's minutes and sessions, over the sessions that have the bin: numpy adds in row order
    bins = numbered["minute"].to_numpy() // width
    sound = np.isfinite(change)
    total = np.bincount(bins[sound], weights=change[sound], minlength=-(-longest // width))
    have = (
        numbered.with_columns(pl.Series("bin", bins))
        .unique(["session", "bin"])
        .group_by("bin")
        .len()
        .sort("bin")["len"]
    )
    first = np.arange(len(total)) * width
    return pl.DataFrame(
        {
            "first": first,
            "last": np.minimum(first + width, longest) - 1,
            "return": total / have.to_numpy(),
            "sessions": have.cast(pl.Int64),
        }
    )


def _changes(before: Floats, after: Floats) -> Floats:
    """after / before - 1; NaN where `before` is not above 0."""
    changes = np.full(len(after), np.nan)
    np.divide(after - before, before, out=changes, where=before > 0)
    return changes
