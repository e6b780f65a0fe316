"""What is left of a session: orders that ended, fills and trades as arrays, and what was recorded and logged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bt.book.cash import CashMove
from bt.execution import IntArray
from bt.execution.layout import EVERY


class Spoken(NamedTuple):
    """A row of the log: `code` is the symbol whose row, fill or order was being told, `EVERY` for none; `heard` 1 for a line that was
    printed or logged, 0 for what `book.log` was told, -n for n lines more that were not kept."""

    time: int
    message: str
    fields: str
    code: int = EVERY
    heard: int = 0


@dataclass(slots=True)
class Output:
    """What an account has to say about a session: rows of `orders` (columns R_ of bt.execution.layout), `fills` (F_) and `trades` (T_) in
    the order in which they happened, as they are until the next session begins; `tags` are the words behind tag codes; of `records` the time, name, value and symbol (`EVERY` for
    none). `margin_calls` counts those of the close, `at_quotes` fills at a quote, and `unmoved` those of symbols of which nothing said how volume moves the price. `cash` moved without a trade. `ambiguous_bars` counts those of the session, and `otherwise` is what the other path would have been worth more in them, units."""

    orders: IntArray
    fills: IntArray
    trades: IntArray
    tags: Sequence[str]
    records: list[tuple[int, str, float, int]] = field(default_factory=list)
    log: list[Spoken] = field(default_factory=list)
    cash: Sequence[CashMove] = ()
    margin_calls: int = 0
    at_quotes: int = 0
    unmoved: int = 0
    ambiguous_bars: int = 0
    otherwise: int = 0


@dataclass(frozen=True, slots=True)
class Curve:
    """One value a minute of the session, at its end, in units."""

    equity: IntArray
    cash: IntArray
    gross: IntArray
    net: IntArray
