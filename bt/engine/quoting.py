"""What orders may be filled at, by the fill rule: a bar's open, a bar's close, or the last close shown."""

from __future__ import annotations

from collections.abc import Callable

from bt.book import Market, Quotes
from bt.engine.stage import Market as Bars
from bt.execution import to_units
from bt.schema import MINUTE
from bt.strategy import slots_ended


def at_opens(bars: Bars, end: int) -> Quotes:
    """next_open: the opens of the bars that end with `end` minutes over, when they open."""
    opened = int(bars.times[end - 1])
    return Quotes(_of_minute(bars, end, bars.open_of), opened, opened, end - 1)


def at_closes(bars: Bars, end: int) -> Quotes:
    """next_close: the closes of the same bars, when they end."""
    opened = int(bars.times[end - 1])
    price = _of_minute(bars, end, bars.close_of)
    return Quotes(price, opened + MINUTE, opened, end - 1, at_close=True)


def at_last_closes(market: Market, end: int, *, minute: bool, only: Callable[[int], bool] | None = None) -> Quotes:
    """same_close: the last close shown of each symbol that has shown a bar in this session, now.

    `minute` is False where no minute ends now: then fills belong to the one that begins. `only` says whose moment it is.
    """
    last, seen, before = market.last, market.seen, market.seen_at_open

    def price(code: int) -> int | None:
        return int(last[code]) if seen[code] > before[code] and (only is None or only(code)) else None

    def bar(code: int) -> int:
        assert market.session is not None
        return slots_ended(market.session, int(market.last_end[code])) - 1

    return Quotes(price, market.now, market.now, end - 1 if minute else end, at_close=minute, bar=bar)


def _of_minute(bars: Bars, end: int, value: Callable[[int], float]) -> Callable[[int], int | None]:
    rows = bars.bar(end - 1)

    def price(code: int) -> int | None:
        row = int(rows[code])
        return to_units(value(row)) if row >= 0 else None

    return price
