"""Cash that moves without a trade: what is held overnight costs and brings, and whatever else happens at a session's open (docs/decisions/0030)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal, NamedTuple

import numpy as np

from bt.execution import IntArray, divide_half_even
from bt.model import AccountSpec, Instruments

CashKind = Literal["dividend", "in_lieu", "delisting", "borrow", "interest"]
YEAR = 360
"""Days of a year: actual/360."""


class CashMove(NamedTuple):
    """A row of the table `cash`: `code` is the symbol's, `EVERY` where it is the account's; `amount` in units, what is paid below 0."""

    time: int
    code: int
    kind: CashKind
    amount: int


@dataclass(frozen=True, slots=True)
class Carry:
    """What a night costs, as fractions a calendar day: of the value of each short, of cash above 0 and of cash below 0. By code, where there is a table
    of instruments: the `own` rates of shorts, and which are `futures`, whose value counts as cash."""

    borrow: Fraction
    credit: Fraction
    debit: Fraction
    own: tuple[Fraction, ...] = ()
    futures: tuple[bool, ...] = ()

    @staticmethod
    def of(spec: AccountSpec, instruments: Instruments | None = None) -> Carry | None:
        """As configured; None where nights cost nothing and bring nothing."""
        borrow, credit, debit = (_a_day(bps) for bps in (spec.borrow_bps, spec.interest_bps, spec.debit_bps))
        if instruments is None:
            return Carry(borrow, credit, debit) if any((borrow, credit, debit)) else None
        futures = tuple(instruments.futures.tolist())
        own = [
            bps / (10_000 * YEAR) if bps is not None else Fraction(0) if is_future else borrow
            for bps, is_future in zip(instruments.borrow_bps, futures, strict=True)
        ]
        return Carry(borrow, credit, debit, tuple(own), futures) if any((borrow, credit, debit, *own)) else None

    def borrowed(self, shares: IntArray, value: IntArray, days: int) -> list[tuple[int, int]]:
        """(place, amount in units) of every short that pays; `value` is that of each position, by place."""
        pays = [(int(k), -_portion(abs(int(value[k])), self._rate(int(k)) * days)) for k in (shares < 0).nonzero()[0]]
        return [(place, amount) for place, amount in pays if amount]

    def _rate(self, place: int) -> Fraction:
        """Of a short, by account and code."""
        return self.own[place % len(self.own)] if self.own else self.borrow

    def settled(self, value: IntArray) -> IntArray:
        """Of the value of each position, by place, what counts as cash: that of futures, of which nothing is paid but gains and losses."""
        if not any(self.futures):
            return np.zeros_like(value)
        return np.where(np.resize(self.futures, len(value)), value, 0)

    def interest(self, cash: int, days: int) -> int:
        """What `cash` brings, or costs below 0, units."""
        return _portion(cash, (self.credit if cash > 0 else self.debit) * days)


def _a_day(bps: float) -> Fraction:
    """Basis points a year, as written, as a fraction a day."""
    return Fraction(Decimal(repr(float(bps)))) / (10_000 * YEAR)


def _portion(amount: int, part: Fraction) -> int:
    """amount x part, rounded once, half to even."""
    return divide_half_even(amount * part.numerator, part.denominator)


def equal_parts(amount: int, count: int) -> list[int]:
    """`amount` in `count` parts, the first ones a unit more (or less, below 0) where it does not go up."""
    size, rest = divmod(abs(amount), count)
    sign = 1 if amount > 0 else -1
    return [sign * (size + (number < rest)) for number in range(count)]
