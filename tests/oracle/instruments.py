"""What is traded (decision 0035): what a share of a symbol is worth, and in which steps, at which costs and until when it is traded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from oracle.account import UNIT, units
from oracle.market import Bar


@dataclass(frozen=True)
class Instrument:
    """A row of the table; what is None is as for any stock. Money is currency."""

    kind: str = "stock"
    multiplier: Fraction = Fraction(1)
    lot: int = 1
    tick: Fraction | None = None
    commission: Fraction | None = None
    margin: Fraction | None = None
    borrow_bps: Fraction | None = None
    first_trade: date | None = None
    last_trade: date | None = None

    def worth(self, price: float) -> int:
        """Money of a share at a price, units."""
        return round(units(price) * self.multiplier)

    def asked(self, price: int | None) -> int | None:
        """Money of a share at a price or distance that a strategy gave in units: a unit at least."""
        return None if price is None else max(round(price * self.multiplier), 1)

    def price(self, worth: int) -> float:
        """The price at which a share is worth so much."""
        return float(Fraction(worth) / (self.multiplier * UNIT))

    def volume(self, bar: Bar) -> float:
        """The volume of a bar in shares: of coins and currencies it counts units of those."""
        if self.kind not in ("crypto", "fx") or self.multiplier == 1:
            return bar.volume
        return float(bar.volume) * float(self.multiplier.denominator) / float(self.multiplier.numerator)

    def moves(self, a_share: float) -> float:
        """By what part of itself one share moves the price, where a unit of the volume does by `a_share`."""
        if self.kind not in ("crypto", "fx") or self.multiplier == 1:
            return a_share
        return a_share * math.sqrt(float(self.multiplier))

    def lots(self, shares: int) -> int:
        """Shares cut toward zero to whole lots."""
        return math.trunc(Fraction(shares, self.lot)) * self.lot

    def closed(self, day: date) -> str:
        """Why nothing may be ordered on a day, "" where it may."""
        if self.kind == "index":
            return "not_tradable"
        early = self.first_trade is not None and day < self.first_trade
        late = self.last_trade is not None and day > self.last_trade
        return "not_listed" if early or late else ""

    def refuses(self, day: date, shares: int, held: int, *prices: int | None) -> str:
        """Why an order is refused, "" where it is not; prices are money of a share in units."""
        if reason := self.closed(day):
            return reason
        if shares % self.lot != 0 and shares != -held:
            return "lot"
        step = None if self.tick is None else self.tick * self.multiplier * UNIT
        if step is not None and any(price is not None and price % step != 0 for price in prices):
            return "tick"
        return ""

    def shorts_pay(self, general: Fraction) -> Fraction:
        """Basis points a year on shorts."""
        if self.borrow_bps is not None:
            return self.borrow_bps
        return Fraction(0) if self.kind == "future" else general

    def tied(self, shares: int, value: int, leverage: Fraction) -> int:
        """What so many shares of a value take of buying power, units."""
        return abs(value) if self.margin is None else abs(shares) * round(leverage * self.margin * UNIT)

    def required(self, shares: int, value: int) -> Fraction:
        """What is required to hold so many shares of a value, units."""
        if self.margin is not None:
            return abs(shares) * self.margin * UNIT
        return abs(value) * Fraction(25 if value > 0 else 30, 100)


STOCK = Instrument()


def of(instruments: Mapping[str, Instrument], symbol: str) -> Instrument:
    """That of a symbol; one that the table has not is a stock."""
    return instruments.get(symbol, STOCK)
