"""A stretch of a calendar that is known completely, and the frame it is kept in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from bt.model import Schedule

SCHEMA: dict[str, pl.DataType] = {
    "session": pl.Date(),
    "segment": pl.Int32(),
    "open": pl.Datetime("us", "UTC"),
    "close": pl.Datetime("us", "UTC"),
    "early_close": pl.Boolean(),
}
"""Columns of a schedule's frame, one row a segment."""

LONGEST_SESSION = 32_767
"""Minutes; a minute of session has to fit int16."""


@dataclass(frozen=True, slots=True)
class Window:
    """Every session of a calendar from `first` to `last`, both included.

    The calendar itself reaches from `earliest` to `latest`; `first` and `last` never lie outside. `asked_first` and
    `asked_last` are the bounds before they were clipped to that: pinned dates, so that a window has one name.
    """

    schedule: Schedule
    first: date
    last: date
    earliest: date
    latest: date
    asked_first: date
    asked_last: date


def decades(first: date, last: date) -> tuple[date, date]:
    """First and last day of the whole decades that hold `first` and `last`."""
    return date(first.year // 10 * 10, 1, 1), date(last.year // 10 * 10 + 9, 12, 31)
