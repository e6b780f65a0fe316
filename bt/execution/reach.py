"""At which prices an order fills, and how much of it. An order is a row of any array, from place `o` on: a live one's, or a copy on which a path is tried out.

The rules are docs/decisions/0028.
"""

from __future__ import annotations

from bt.execution.layout import (
    EXIT,
    LIMIT_ORDER,
    NULL,
    O_BEST,
    O_FILLED,
    O_LEVEL,
    O_LIMIT,
    O_REACHED,
    O_REDUCES,
    O_SHARES,
    O_SIDE,
    O_STOP,
    O_TRAIL,
    O_TYPE,
    TARGET,

)  # fmt: skip
from bt.jit import IntArray, inner

AT_MARKET, AT_LIMIT, AT_STOP, TRAILS = range(4)
"""What an order works as: at the market, or while it waits for a price."""


@inner
def works_as(rows: IntArray, o: int) -> int:
    """What an order works as now: a stop that was reached is a limit where it has one, else at the market."""
    if rows[o + O_TYPE] < LIMIT_ORDER:
        return AT_MARKET
    if not rows[o + O_REACHED]:
        if rows[o + O_TRAIL] != NULL:
            return TRAILS
        if rows[o + O_STOP] != NULL:
            return AT_STOP
    return AT_LIMIT if rows[o + O_LIMIT] != NULL else AT_MARKET


@inner
def level_of(rows: IntArray, o: int) -> int:
    """The price that an order waits for, units; of a trailing stop that knows a price."""
    works = works_as(rows, o)
    if works == AT_LIMIT:
        return rows[o + O_LIMIT]
    return rows[o + O_STOP] if works == AT_STOP else rows[o + O_BEST] + rows[o + O_SIDE] * rows[o + O_TRAIL]


@inner
def fills_at(rows: IntArray, o: int, price: int) -> bool:
    """Whether a price at which the symbol trades fills an order that waits for one: a limit at that price or a better one, a stop reached, a
    stop-limit both."""
    works, side = works_as(rows, o), rows[o + O_SIDE]
    if works == AT_LIMIT:
        return side * price <= side * rows[o + O_LIMIT]
    if works == AT_MARKET or (works == TRAILS and rows[o + O_BEST] == NULL):
        return False
    if side * price < side * level_of(rows, o):
        return False
    return rows[o + O_LIMIT] == NULL or side * price <= side * rows[o + O_LIMIT]


@inner
def left_of(rows: IntArray, o: int) -> int:
    """The signed shares that an order for a number of shares has still to fill."""
    return (rows[o + O_SHARES] if rows[o + O_SHARES] != NULL else 0) - rows[o + O_FILLED]


@inner
def wanted(rows: IntArray, o: int, held: int) -> int:
    """The signed shares that an order fills with `held` shares held, were there room: what reduces, no more than is held on that side."""
    if rows[o + O_TYPE] == TARGET:
        return rows[o + O_LEVEL] - held
    if rows[o + O_TYPE] == EXIT:
        return -held
    left = left_of(rows, o)
    if not rows[o + O_REDUCES]:
        return left
    side = rows[o + O_SIDE]
    return side * min(abs(left), max(-side * held, 0))


@inner
def cut_to(shares: int, room: int) -> int:
    """Signed shares cut to the room of a bar; NULL is no cap."""
    return shares if room == NULL else max(min(shares, room), -room)
