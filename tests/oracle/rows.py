"""What a strategy is shown: one row of declared fields, or the cross-section of a minute."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from oracle.bins import Bin
from oracle.book import Book, Present
from oracle.market import Bar, Day, instant
from oracle.settings import RowType


def row_values(
    row_type: RowType, bar: Bar | Bin, present: Present, *, minute: int, zone: ZoneInfo
) -> tuple[dict[str, Any], str]:
    """The declared fields of one row, and the first one that is not known yet and must be (else "").

    `minute` is the minute of session that has just closed, for coarser rows too.
    """
    assert present.day is not None
    values: dict[str, Any] = {}
    for name in row_type.fields:
        if name in row_type.features:
            value = row_type.features[name].value(bar.symbol, present.day, minute, bar.end_us)
        else:
            value = own_field(row_type, name, bar, present, minute=minute, zone=zone)
        if value is None and name not in row_type.optional:
            return values, name
        values[name] = value
    return values, ""


def own_field(row_type: RowType, name: str, bar: Bar | Bin, present: Present, *, minute: int, zone: ZoneInfo) -> Any:
    """A field that needs no feature."""
    assert present.day is not None
    day: Day = present.day
    value: Any
    match name:
        case "open_time":
            value = instant(bar.time_us) if name in row_type.dated else bar.time_us
        case "close_time":
            value = instant(bar.end_us) if name in row_type.dated else bar.end_us
        case "session":
            value = day.name
        case "minute":
            value = minute
        case "minutes_left":
            value = len(day.minutes) - 1 - minute
        case "quality":
            value = float(present.quality(bar.symbol))
        case "completeness":
            value = present.completeness(bar.symbol)
        case "interval":
            value = row_type.interval
        case "local_time":
            value = instant(bar.time_us).astimezone(zone).time()
        case _:
            value = getattr(bar, name)
    return value


def cross_section(
    row_type: RowType, shown: dict[str, dict[str, Any]], book: Book, symbols: list[str]
) -> SimpleNamespace:
    """Every candidate in symbol order, each field a list: NaN where the symbol has no row now, or the value is null."""
    columns = {
        name: [shown[s][name] if s in shown and shown[s][name] is not None else math.nan for s in symbols]
        for name in row_type.fields
        if name != "symbol"
    }
    return SimpleNamespace(
        symbol=list(symbols),
        code=list(range(len(symbols))),
        fresh=[s in shown for s in symbols],
        position=[book.ledger.position(s) for s in symbols],
        **columns,
    )
