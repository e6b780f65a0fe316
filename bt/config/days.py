"""First and last session as people ask for them: a date, or words that `bt.run.resolved` turns into one."""

from __future__ import annotations

import difflib
import re
from datetime import date, datetime

FIRST = 'a date like 2024-11-25 or "-60 sessions"'
LAST = 'a date like 2024-11-25, "last" or "previous"'
"""What they must be, for errors."""

ENDS = ("last", "previous")

_BACK = re.compile(r"-\s*([1-9]\d{0,5})\s*sessions?")


def first_day(value: object) -> date | str:
    """A date, or the text ``"-60 sessions"``.

    Raises
    ------
    ValueError
        Anything else; its text is a hint.
    """
    if isinstance(value, str):
        if found := _BACK.fullmatch(value.strip()):
            return f"-{found[1]} sessions"
        if value.strip() in ENDS:
            raise ValueError(f'only the end may be {value.strip()}; its session alone is "-1 sessions"')
        if re.search("session", value):
            raise ValueError('write "-60 sessions", a whole number of at least 1')
    return _date(value)


def last_day(value: object) -> date | str:
    """A date, or the text ``"last"`` or ``"previous"``.

    Raises
    ------
    ValueError
        Anything else; its text is a hint.
    """
    if isinstance(value, str):
        if value.strip() in ENDS:
            return value.strip()
        if near := difflib.get_close_matches(value.strip().lower(), ENDS, 1):
            raise ValueError(f'did you mean "{near[0]}"?')
    return _date(value)


def sessions_back(start: str) -> int:
    """The 60 of ``"-60 sessions"``."""
    found = _BACK.fullmatch(start)
    if found is None:
        raise ValueError(start)
    return int(found[1])


def _date(value: object) -> date:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise ValueError("year, month and day, as 2024-11-25") from None
    if isinstance(value, datetime):
        raise ValueError("leave the time of day out")  # noqa: TRY004 - pydantic collects ValueErrors only
    if not isinstance(value, date):
        raise ValueError("year, month and day, as 2024-11-25")  # noqa: TRY004
    return value
