"""Where the period of a trailing indicator begins."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import date, timedelta


def shifted(day: date, period: str) -> date:
    """`day` minus a calendar period "3w", "3m" or "1y"; the day of month is clipped to the month's last."""
    number = int(period[:-1])
    if period[-1] == "w":
        return day - timedelta(weeks=number)
    months = number * (12 if period[-1] == "y" else 1)
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, last)
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")


def first_session(names: Sequence[date], at: int, period: str) -> int:
    """Index of the first session of ``[session - period, session)`` for session number `at` of `names`.

    Below 0 when "Nd" reaches back past the schedule's first session.
    """
    if period[-1] == "d":
        return at - int(period[:-1])
    return bisect_left(names, shifted(names[at], period), 0, at)
