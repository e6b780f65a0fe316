"""Outside tables joined point in time (docs/config.md, decision 0016)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from oracle.market import Day, History, micros


@dataclass
class Outside:
    """A column of a table as a feature: the last row of the symbol (of the market, with `by` None) that was known at the row's
    close_time. Of rows that became known together the later one in the table is the last. A date is known from the open of
    the first session after it."""

    rows: Sequence[Mapping[str, Any]]
    column: str
    known_at: str
    by: str | None = None
    days: list[Day] = field(default_factory=list)

    def prepare(self, history: History) -> None:
        self.days = history.days

    def value(self, symbol: str, day: Day, minute: int, close_us: int) -> Any:
        known: list[tuple[Any, int]] = []
        for number, row in enumerate(self.rows):
            if self.by is not None and row[self.by] != symbol:
                continue
            since = self.known_from(row[self.known_at])
            if since is not None and since <= close_us:
                known.append((row[self.known_at], number))
        return self.rows[max(known)[1]][self.column] if known else None

    def known_from(self, when: date | datetime) -> int | None:
        """The first microsecond at which it is known; None where the days end before."""
        if isinstance(when, datetime):
            return micros(when)
        return next((d.open for d in self.days if d.name > when), None)
