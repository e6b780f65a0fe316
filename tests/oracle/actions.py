"""Corporate actions: what they do to a book at a session's open (decision 0031)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from oracle.account import UNIT, Order, Position
from oracle.market import Day

KINDS = ("rename", "split", "dividend", "delisting")


@dataclass(frozen=True)
class Action:
    """A row of the table. `ratio` is new shares for an old one, `amount` currency a share, `price` currency (None: the last close)."""

    symbol: str
    session: date
    kind: str
    ratio: Fraction = Fraction(1)
    amount: Fraction = Fraction(0)
    to: str = ""
    price: Fraction | None = None


def of_day(actions: Sequence[Action], days: Sequence[Day], day: Day) -> list[Action]:
    """The actions applied at a day's open: its own, and those of dates since the session before; in the order in which they are applied."""
    before = max((d.name for d in days if d.name < day.name), default=date.min)
    found = [a for a in actions if before < a.session <= day.name]
    return sorted(found, key=lambda a: (KINDS.index(a.kind), a.symbol))


def split_price(price: int, ratio: Fraction) -> int:
    """A price in units after a split, rounded half to even."""
    return round(price / ratio)


def split_order(order: Order, ratio: Fraction, each: int | None = None) -> bool:
    """An order in the terms after a split; whether nothing is left of it. `each` is a share's margin that stays."""
    over = False
    if order.type == "target":
        assert order.level is not None
        level = math.trunc(order.level * ratio)
        over, order.level = order.level != 0 and level == 0, level
    elif order.shares is not None:
        left = math.trunc(order.left * ratio)
        over, order.shares = order.left != 0 and left == 0, order.filled + left
    for name in ("limit", "stop", "trail", "extreme"):
        price = getattr(order, name)
        if price is not None:
            setattr(order, name, max(split_price(price, ratio), 1))
    filled = abs(order.filled)
    asked = math.trunc(max(order.asked - filled, 0) * ratio)
    order.asked, order.opening, order.each = (
        filled + asked,
        math.trunc(order.opening * ratio),
        split_price(order.each, ratio) if each is None else each,
    )
    if order.reserved:
        order.reserved = order.each * min(order.opening, asked)
    return over


def split_position(held: Position, ratio: Fraction, last: int) -> int:
    """A position of at least one new share after a split; what is paid for the rest of a share, units."""
    exact = held.shares * ratio
    after = math.trunc(exact)
    rest = round((exact - after) * last / ratio)
    held.exit_shares = math.trunc(held.exit_shares * ratio)
    held.entry_shares = held.exit_shares + abs(after)
    held.shares = after
    return rest


def dividend(shares: int, amount: Fraction) -> int:
    """What is paid, units; from who is short."""
    return round(shares * amount * UNIT)
