"""What is asked for, in words of users, as specifications."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl
import pyarrow as pa

from bt.config import FIRST, LAST, data_spec, first_day, last_day
from bt.errors import UsageError
from bt.model import DataSpec, MemoryBars
from bt.schema import interval_minutes

Bars: TypeAlias = str | os.PathLike[str] | pl.DataFrame | pl.LazyFrame | pa.Table | MemoryBars
"""Where bars are: a path, or the bars themselves."""


def data_asked(
    bars: Bars, calendar: str, symbols: Sequence[str] | None, more: Mapping[str, Any], caller: str
) -> DataSpec:
    """What `bars` and the keys of [data] mean.

    Raises
    ------
    ConfigError
        An unknown key or an impossible value.
    """
    table: dict[str, Any] = {"bars": bars, "calendar": calendar, **more}
    if symbols is not None:
        table["symbols"] = symbols if isinstance(symbols, str) else list(symbols)
    return data_spec(table, base=Path.cwd(), source=caller)


def day_asked(name: str, value: date | str) -> date | str:
    """The day, or the word for one, that `start` or `end` means."""
    try:
        return first_day(value) if name == "start" else last_day(value)
    except ValueError as hint:
        must = FIRST if name == "start" else LAST
        raise UsageError(f"{name}: it must be {must}, was {value!r}; {hint}") from None


def intervals_asked(intervals: Sequence[str]) -> Sequence[str]:
    """Intervals, of which one alone may be given as it is."""
    return [intervals] if isinstance(intervals, str) else intervals


def minutes_asked(interval: str) -> int:
    """Minutes of an interval."""
    try:
        return interval_minutes(interval)
    except ValueError:
        raise UsageError(
            f"intervals: each must be like 1m, 5m, 4h or 1d, was {interval!r}; 1d is the longest"
        ) from None
