"""Outages: stretches in which nearly every liquid symbol lacks its bars. Hindsight: they are reported and gate nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.arrays import plain
from bt.schema import MINUTE

IntArray = npt.NDArray[np.int64]

_TOGETHER = 256
"""Sessions that are looked at together: each has a place for every one of its minutes."""

ACTIVE = 90
"""A symbol is active if its median quality, over the sessions in which it has rows, is at least this."""

MINUTES = 5
"""So many minutes in a row make an outage."""

LACKING, OF = 7, 10
"""Each of them is lacking in seven of ten active symbols that have rows in the session."""

_TIME = pl.Datetime("us", "UTC")
NEEDED = pl.Schema(
    {
        "session": pl.Date(), "symbol": pl.String(), "present": pl.Int64(), "expected": pl.Int64(),
        "quality": pl.Float64(), "gaps": pl.List(pl.Struct({"start": _TIME, "end": _TIME, "minutes": pl.Int64()})),
    }
)  # fmt: skip
"""Columns of the quality table that are looked at."""

SCHEMA = pl.Schema(
    {
        "session": pl.Date(), "start": _TIME, "end": _TIME, "minutes": pl.Int64(), "symbols": pl.Int64(),
        "lacking": pl.Float64(), "whole_session": pl.Boolean(),
    }
)  # fmt: skip


def outages(table: pl.DataFrame) -> pl.DataFrame:
    """The outages in some sessions of a calendar, all of them in a row.

    Parameters
    ----------
    table : DataFrame
        Columns session, symbol, present, expected, quality and gaps of the table ``quality``, of 1m bars alone. Rows of
        symbols that are not active may be left out.

    Returns
    -------
    DataFrame
        session, start and end (half-open), minutes, symbols (active ones with rows in the session; in a whole session
        without rows the active ones), lacking (mean share of them that lack a minute), whole_session. Sorted by start.

    Notes
    -----
    A session in which no active symbol has a row is an outage only between two that have one. No outage runs through a
    break.
    """
    return outages_of(active(table), [table])


def outages_of(liquid: pl.Series, parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """As `outages`, of a table that comes in parts of whole sessions, of which one at a time is looked at; `liquid` are the active symbols of all of it."""
    found, sessions = [], []
    for part in parts:
        mine = part.filter(pl.col("symbol").is_in(liquid.implode()))
        if not mine.is_empty():
            found.append(_dark(mine))
            sessions.append(_sessions(mine))
    if not sessions:
        return SCHEMA.to_frame()
    found.append(_silent(pl.concat(sessions)))
    return pl.concat([frame.select(SCHEMA.names()).cast(SCHEMA) for frame in found]).sort("start")


def active(table: pl.DataFrame) -> pl.Series:
    """The active symbols of a table as `outages` takes it."""
    with_rows = table.filter(pl.col("present") > 0).sort("symbol", "quality")
    n = pl.len()
    middle = pl.col("quality").get((n - 1) // 2) + pl.col("quality").get(n // 2)  # twice the median
    return with_rows.group_by("symbol").agg(middle).filter(pl.col("quality") >= 2 * ACTIVE)["symbol"]


class Watch:
    """The rows `outages` needs, kept while sessions come one by one; a symbol that can no longer be active is let go.

    Gaps of thin symbols are by far the largest part of a quality table, and none of them matters here.

    Parameters
    ----------
    sessions : int
        How many will come.
    """

    def __init__(self, sessions: int) -> None:
        self._left = sessions
        self._kept = [NEEDED.to_frame()]
        self._tally = pl.DataFrame(schema={"symbol": pl.String, "ahead": pl.Int64})

    def add(self, table: pl.DataFrame) -> None:
        """One session's rows, as `outages` takes them."""
        self._left -= 1
        self._kept.append(table.select(NEEDED.names()))
        vote = pl.when(pl.col("quality") >= ACTIVE).then(1).otherwise(-1).cast(pl.Int64).alias("ahead")
        votes = table.filter(pl.col("present") > 0).select("symbol", vote)
        self._tally = pl.concat([self._tally, votes]).group_by("symbol").agg(pl.col("ahead").sum())
        # a median needs half of the sessions at least
        lost = self._tally.filter(pl.col("ahead") < -self._left)["symbol"]
        if len(lost):
            self._kept = [pl.concat(self._kept).filter(~pl.col("symbol").is_in(lost.implode()))]

    def outages(self) -> pl.DataFrame:
        """The outages of the sessions that came."""
        return outages(pl.concat(self._kept))


def _dark(table: pl.DataFrame) -> pl.DataFrame:
    """Runs of minutes that most symbols with rows lack."""
    here = table.filter(pl.col("present") > 0)
    names, session, symbols = np.unique(
        here["session"].to_physical().to_numpy(), return_inverse=True, return_counts=True
    )
    lists = here["gaps"].to_arrow(compat_level=pl.CompatLevel.oldest())
    of = np.repeat(session, np.where(plain(lists.is_valid()), plain(lists.value_lengths()), 0))
    gaps = lists.flatten()
    if not len(gaps):
        return SCHEMA.to_frame()
    edges = [plain(gaps.field(edge)) // MINUTE for edge in ("start", "end")]
    found = []
    for first in range(0, len(names), _TOGETHER):
        some, own = slice(first, first + _TOGETHER), (of >= first) & (of < first + _TOGETHER)
        if own.any():
            found.append(_dark_runs(names[some], symbols[some], of[own] - first, [edge[own] for edge in edges]))
    return pl.concat(found)


def _dark_runs(names: npt.NDArray[Any], symbols: IntArray, of: IntArray, edges: Sequence[IntArray]) -> pl.DataFrame:
    """Those of some sessions that are called `names` and have so many `symbols`, from the minutes at which the gaps `of` each begin and end."""
    begin = np.full(len(names), int(edges[1].max()))
    np.minimum.at(begin, of, edges[0])
    # a row a session, a column each minute from its first gap on: how many symbols lack it
    wide = int((edges[1] - begin[of]).max()) + 2
    places = [of * wide + edge - begin[of] + 1 for edge in edges]
    steps = np.subtract(*(np.bincount(place, minlength=len(names) * wide) for place in places)).reshape(-1, wide)
    lacking = steps.cumsum(axis=1)
    turns = np.diff(OF * lacking >= LACKING * symbols[:, None], append=False)
    row, edge = np.nonzero(turns)  # where a run of dark minutes begins, then where it ends
    row, first, last = row[::2], edge[::2], edge[1::2]
    total = lacking.cumsum(axis=1)
    minutes, share = last - first, (total[row, last] - total[row, first]) / (symbols[row] * (last - first))
    runs = pl.DataFrame(
        {
            "session": pl.Series(names[row]).cast(pl.Date),
            "start": pl.Series((begin[row] + first) * MINUTE).cast(_TIME),
            "end": pl.Series((begin[row] + last) * MINUTE).cast(_TIME),
            "minutes": minutes,
            "symbols": symbols[row],
            "lacking": share,
        }
    )
    return runs.filter(pl.col("minutes") >= MINUTES).with_columns(pl.lit(value=False).alias("whole_session"))


def _sessions(table: pl.DataFrame) -> pl.DataFrame:
    """Each session, and whether a symbol has a row in it."""
    return table.group_by("session").agg(
        (pl.col("present") > 0).any().alias("alive"),
        pl.col("gaps").list.first().struct.field("start").min().alias("start"),
        pl.col("gaps").list.last().struct.field("end").max().alias("end"),
        pl.col("expected").max().alias("minutes"),
        pl.len().cast(pl.Int64).alias("symbols"),
    )  # fmt: skip


def _silent(sessions: pl.DataFrame) -> pl.DataFrame:
    """Sessions in which no symbol has a row, between two in which one has."""
    alive = sessions.filter("alive")["session"]
    silent = sessions.filter(~pl.col("alive"), pl.col("session").is_between(alive.min(), alive.max()))
    return silent.with_columns(pl.lit(1.0).alias("lacking"), pl.lit(value=True).alias("whole_session"))
