"""Who is a member of a session's universe, as of its open, from the sessions before (decision 0019)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from oracle.features import trailing_value
from oracle.market import Day, History

Past = Callable[[str, Any, str], float | None]
"""``past("avg", "volume", "3d")``: one symbol's value at the open; `of` a column, or a function of a bar that is summed."""


@dataclass(frozen=True)
class Universe:
    """The [universe] table. `by` and `where` are functions of `Past`; None is not known. `table` has (from, to, symbol): from is a
    member's first day, to the first on which it is none (None: there is no such)."""

    top: int | None = None
    by: Callable[[Past], float | None] | None = None
    where: Callable[[Past], bool | None] | None = None
    table: Sequence[tuple[date, date | None, str]] | None = None
    rebalance: str = "1d"
    leavers: str = "hold"

    def members(self, history: History, day: Day, symbols: Sequence[str]) -> list[str]:
        """A day's members, the first ranked first; in symbol order where nothing ranks them."""
        decided = self.decided(history.days, day)
        found = []
        for symbol in sorted(symbols):
            past = _past(history, symbol, decided)
            if self.table is not None and not any(
                s == symbol and a <= decided.name and (b is None or decided.name < b) for a, b, s in self.table
            ):
                continue
            if self.where is not None and not self.where(past):
                continue
            value = 0.0 if self.by is None else self.by(past)
            if value is not None:
                found.append((value, symbol))
        if self.by is None:
            return [symbol for _, symbol in found]
        found.sort(key=lambda f: -f[0])  # a stable sort: ties stay in symbol order
        return [symbol for _, symbol in found][: self.top]

    def decided(self, days: Sequence[Day], day: Day) -> Day:
        """The session at whose open a day's members are decided."""
        if self.rebalance == "1d":
            return day
        return next(d for d in days if self._period(d.name) == self._period(day.name))

    def _period(self, name: date) -> tuple[int, int]:
        week = name.isocalendar()
        return (week.year, week.week) if self.rebalance == "1w" else (name.year, name.month)


def _past(history: History, symbol: str, day: Day) -> Past:
    return lambda aggregate, of, period: trailing_value(history, symbol, day, aggregate, of, period)[0]
