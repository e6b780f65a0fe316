"""What a strategy is shown: one row of declared fields, or the cross-section of a minute."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from oracle.bins import Bin
from oracle.book import Book, Present
from oracle.market import MINUTE, Bar, Day, instant
from oracle.settings import RowType


def row_values(
    row_type: RowType, bar: Bar | Bin, present: Present, *, minute: int, zone: ZoneInfo, opened: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    """The declared fields of one row, and the first one that is not known yet and must be (else ""). `opened` is what at_open
    gave the symbol.

    `minute` is the minute of session that has just closed, for coarser rows too.
    """
    assert present.day is not None
    values: dict[str, Any] = {}
    for name in row_type.fields:
        if name in row_type.features:
            value = row_type.features[name].value(bar.symbol, present.day, minute, bar.end_us)
        elif name in row_type.opened:
            value = opened.get(name)
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
            value = instant(bar.end_us).astimezone(zone).time()
        case _:
            value = getattr(bar, name)
    return value


class CrossSection:
    """One moment of the candidates in symbol order: a list a field, NaN where a symbol has no row now or its value is null;
    fields that are the same for all are plain values. `column` makes of the lists what a strategy wants to work with."""

    def __init__(
        self,
        symbol: Sequence[str],
        lists: dict[str, list[Any]],
        same: dict[str, Any],
        column: Callable[[list[Any]], Any],
    ) -> None:
        self.symbol = tuple(symbol)
        self._lists, self._same, self._column = lists, same, column

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not (name in self._lists or name in self._same):
            raise AttributeError(name)
        return self._same[name] if name in self._same else self._column(list(self._lists[name]))

    def __len__(self) -> int:
        return len(self.symbol)

    def take(self, mask: Iterable[Any]) -> CrossSection:
        """Some of the symbols: those where a mask of booleans holds, or those at some positions."""
        chosen = list(mask)
        if [type(c).__name__ for c in chosen[:1]] in (["bool"], ["bool_"]):
            chosen = [i for i, holds in enumerate(chosen) if holds]
        lists = {name: [values[i] for i in chosen] for name, values in self._lists.items()}
        return CrossSection([self.symbol[i] for i in chosen], lists, self._same, self._column)

    def matrix(self, *names: str) -> Any:
        """Columns side by side: a row a symbol."""
        return self._column([[self._lists[name][i] for name in names] for i in range(len(self))])


SAME = frozenset(("session", "minute", "minutes_left", "open_time", "close_time", "local_time", "interval"))
"""Fields that are the same for every symbol of a moment."""


def cross_section(
    row_type: RowType,
    shown: dict[str, dict[str, Any]],
    book: Book,
    present: Present,
    *,
    zone: ZoneInfo,
    column: Callable[[list[Any]], Any],
) -> CrossSection:
    """The session's universe and what was held at its open, in symbol order, whether it has a row now (it is in `shown`) or not."""
    assert present.day is not None
    now, day, symbols = present.now_us, present.day, present.symbols
    if present.members is not None:
        symbols = [s for s in symbols if s in present.members or s in book.held_at_open]
    arrays: dict[str, list[Any]] = {
        "code": [present.symbols.index(s) for s in symbols],
        "fresh": [s in shown for s in symbols],
        "age": [(now - present.last[s].end_us) / MINUTE if s in present.last else math.nan for s in symbols],
        "position": [book.ledger.position(s) for s in symbols],
    }
    values = {
        "session": day.name,
        "minute": present.elapsed - 1,
        "minutes_left": len(day.minutes) - present.elapsed,
        "open_time": day.minutes[max(present.elapsed - 1, 0)],
        "close_time": now,
        "interval": row_type.interval,
        "local_time": instant(now).astimezone(zone).time(),
    }
    if shown:
        values |= next(iter(shown.values()))
    same = {}
    for name in row_type.fields:
        if name in SAME:
            same[name] = values[name]
            if name in row_type.dated and isinstance(values[name], int):
                same[name] = instant(values[name])
        elif name != "symbol":
            known = [shown[s][name] if s in shown else None for s in symbols]
            arrays[name] = [math.nan if value is None else float(value) for value in known]
    return CrossSection(symbols, arrays, same, column)
