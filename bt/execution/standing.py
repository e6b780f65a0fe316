"""What an account has of a symbol, as a bar finds it: a copy of its live orders on which a fill, and what it sets off, is tried out before it counts.

A copy is one array: a few numbers (`HELD` shares, the `ROOM_FOR` what may still fill of the bar, NULL for no cap), the orders in their order, then what
happened to them, `take` of which is when it counts. The rules are docs/decisions/0028.
"""

from __future__ import annotations

import numpy as np

from bt.execution.filling import charged, counted, month_place, note, paid, scheduled
from bt.execution.layout import (
    CANCELLED,
    EXIT,
    FILLED,
    FLAT,
    HEAD,
    LEVELS_AT,
    NONE,
    NULL,
    O_ACCOUNT,
    O_ASKED,
    O_BEST,
    O_CODE,
    O_EACH,
    O_FILLED,
    O_GROUP,
    O_HAS_LEGS,
    O_ID,
    O_LIMIT,
    O_LIVE,
    O_NEED,
    O_NEXT,
    O_OPENING,
    O_PARENT,
    O_REACHED,
    O_REDUCES,
    O_SHARES,
    O_SIDE,
    O_SINCE,
    O_TRAIL,
    O_TYPE,
    O_WAITS,
    OCO,
    ORDER_COLUMNS,
    PARENT,
    ROOM_LEFT,
    SCHEDULED,
    SHARES_AT,
    STOP_LOSS,
    SYMBOLS,
    TARGET,
    order_at,
    position_at,
)  # fmt: skip
from bt.execution.money import plus, times
from bt.execution.orders import finish
from bt.execution.power import reserve
from bt.execution.reach import AT_STOP, TRAILS, cut_to, left_of, wanted, works_as
from bt.jit import FloatArray, IntArray, allocating, inner

HELD, ROOM_FOR, COUNT, HAPPENED, HAPPENED_AT, BEGINS = range(6)
OF_ROW, IS_FRESH, WIDTH = ORDER_COLUMNS, ORDER_COLUMNS + 1, ORDER_COLUMNS + 2
"""Beside its columns an order has its row, and whether it has become what it is at the price that a path is at."""
E_ORDER, E_STATUS, E_REASON, E_SHARES, E_REFERENCE, E_PRICE, EVENT_WIDTH = range(7)
FILLS_NOW = -1
"""The status of a fill: the order may live on."""


@allocating
def standing(b: IntArray, g: IntArray, a: int, code: int, room: int) -> IntArray:
    """The live orders of a symbol, copied."""
    at = a * b[SYMBOLS] + code
    count, k = 0, b[position_at(b, at) + HEAD]
    while k >= 0:
        count += 1
        k = g[order_at(g, k) + O_NEXT]
    s = np.empty(BEGINS + count * WIDTH + (6 * count + 8) * EVENT_WIDTH, dtype=np.int64)
    s[HELD], s[ROOM_FOR], s[COUNT], s[HAPPENED], s[HAPPENED_AT] = (
        b[b[SHARES_AT] + at],
        room,
        count,
        0,
        BEGINS + count * WIDTH,
    )
    o, k = BEGINS, b[position_at(b, at) + HEAD]
    while k >= 0:
        order = order_at(g, k)
        for column in range(ORDER_COLUMNS):
            s[o + column] = g[order + column]
        s[o + OF_ROW] = k
        s[o + IS_FRESH] = 0
        o += WIDTH
        k = g[order + O_NEXT]
    return s


@inner
def place_of(s: IntArray, k: int) -> int:
    """Where the copy of order `k` begins."""
    o = BEGINS
    while s[o + OF_ROW] != k:
        o += WIDTH
    return o


@inner
def possible(s: IntArray, o: int) -> int:
    """The signed shares that an order would fill now."""
    return cut_to(wanted(s, o, s[HELD]), s[ROOM_FOR])


@inner
def _happens(s: IntArray, o: int, status: int, reason: int, shares: int, reference: int, price: int) -> None:
    e = s[HAPPENED_AT] + s[HAPPENED] * EVENT_WIDTH
    if e + EVENT_WIDTH > len(s):
        raise RuntimeError("execution: more happens to a symbol's orders in one bar than there is room for")
    s[e + E_ORDER] = o
    s[e + E_STATUS] = status
    s[e + E_REASON] = reason
    s[e + E_SHARES] = shares
    s[e + E_REFERENCE] = reference
    s[e + E_PRICE] = price
    s[HAPPENED] += 1


@inner
def _over(s: IntArray, o: int, status: int, reason: int) -> None:
    """An order is over, and so are legs that still wait for it."""
    if not s[o + O_LIVE]:
        return
    s[o + O_LIVE] = 0
    _happens(s, o, status, reason, 0, 0, 0)
    if s[o + O_HAS_LEGS]:
        why = FLAT if s[o + O_FILLED] else PARENT
        for leg in range(BEGINS, s[HAPPENED_AT], WIDTH):
            if s[leg + O_LIVE] and s[leg + O_WAITS] and s[leg + O_PARENT] == s[o + O_ID]:
                s[leg + O_LIVE] = 0
                _happens(s, leg, CANCELLED, why, 0, 0, 0)


@inner
def fill_one(b: IntArray, s: IntArray, o: int, reference: int, quoted: int, since: int) -> None:
    """Fill what is possible of an order at a price of the market, or at what is `quoted` beside it, and what that sets off. Legs may meet bars that open at
    `since` or later."""
    shares, before, works = possible(s, o), s[HELD], works_as(s, o)
    price = paid(b, s[o + O_CODE], reference, quoted, shares) if s[o + O_LIMIT] == NULL else reference
    s[HELD] = plus(before, shares)
    if s[ROOM_FOR] != NULL:
        s[ROOM_FOR] -= abs(shares)
    s[o + O_FILLED] += shares
    if works in (AT_STOP, TRAILS):
        s[o + O_REACHED] = 1
    if s[o + O_NEED]:
        s[o + O_NEED] = s[o + O_EACH] * min(s[o + O_OPENING], max(s[o + O_ASKED] - abs(s[o + O_FILLED]), 0))
    _happens(s, o, FILLS_NOW, NONE, shares, reference, price)
    if s[o + O_HAS_LEGS]:
        _protect(s, o, before, price, since)
    kind = s[o + O_TYPE]
    if (wanted(s, o, s[HELD]) if kind in (TARGET, EXIT) else left_of(s, o)) == 0:
        _over(s, o, FILLED, NONE)
    for other in range(BEGINS, s[HAPPENED_AT], WIDTH):
        if other != o and s[other + O_GROUP] == s[o + O_GROUP]:
            _over(s, other, CANCELLED, OCO)
    if kind >= STOP_LOSS:
        _close_bracket(s, o)
    _flatten(s)


@inner
def _protect(s: IntArray, parent: int, before: int, price: int, since: int) -> None:
    """The legs of what has filled: of a target for all that is held on its side, of an order for what it opened or added."""
    for leg in range(BEGINS, s[HAPPENED_AT], WIDTH):
        if not s[leg + O_LIVE] or s[leg + O_PARENT] != s[parent + O_ID]:
            continue
        side = s[leg + O_SIDE]
        protected = max(-side * s[HELD], 0)
        if s[parent + O_TYPE] == TARGET:
            protected += abs(s[leg + O_FILLED])
        else:
            protected = max(protected - max(-side * before, 0), 0) + (
                abs(s[leg + O_SHARES]) if s[leg + O_SHARES] != NULL else 0
            )
        if protected == abs(s[leg + O_FILLED]):
            continue
        s[leg + O_SHARES] = side * protected
        if s[leg + O_WAITS]:
            s[leg + O_WAITS] = 0
            s[leg + O_SINCE] = since
            s[leg + O_BEST] = price if s[leg + O_TRAIL] != NULL else NULL
            s[leg + IS_FRESH] = 1


@inner
def _close_bracket(s: IntArray, leg: int) -> None:
    """A leg has filled: nothing more of its parent does; once it is whole the other legs end."""
    parent, whole = s[leg + O_PARENT], left_of(s, leg) == 0
    for other in range(BEGINS, s[HAPPENED_AT], WIDTH):
        if other != leg and (s[other + O_ID] == parent or (whole and s[other + O_PARENT] == parent)):
            _over(s, other, CANCELLED, OCO)


@inner
def _lives(s: IntArray, number: int) -> bool:
    """Whether the order of an id does."""
    for o in range(BEGINS, s[HAPPENED_AT], WIDTH):
        if s[o + O_LIVE] and s[o + O_ID] == number:
            return True
    return False


@inner
def _flatten(s: IntArray) -> None:
    """Orders that reduce end when there is nothing to reduce; legs of a parent that may fill on wait for that."""
    for o in range(BEGINS, s[HAPPENED_AT], WIDTH):
        if not s[o + O_LIVE] or not s[o + O_REDUCES] or s[o + O_WAITS] or -s[o + O_SIDE] * s[HELD] > 0:
            continue
        if s[o + O_TYPE] >= STOP_LOSS and _lives(s, s[o + O_PARENT]):
            s[o + O_WAITS] = 1
            s[o + O_SHARES] = s[o + O_BEST] = NULL
        else:
            _over(s, o, CANCELLED, FLAT)


@inner
def worth_of(b: IntArray, s: IntArray, close: int) -> int:
    """What the account has of it at a close: cash moved by the fills, and the position, units."""
    total, month, code = times(s[HELD], close), 0, s[BEGINS + O_CODE]
    if b[SCHEDULED]:
        month = b[month_place(b, s[BEGINS + O_ACCOUNT] * b[SYMBOLS] + code)]
    for n in range(s[HAPPENED]):
        e = s[HAPPENED_AT] + n * EVENT_WIDTH
        if s[e + E_STATUS] == FILLS_NOW:
            shares, price = s[e + E_SHARES], s[e + E_PRICE]
            if b[SCHEDULED]:
                fee = scheduled(b, s, s[e + E_ORDER], month, shares, price)
                month += counted(b, code, shares)
            else:
                fee = charged(b, code, shares)
            total = plus(total, -times(shares, price) - fee)
    return total


@inner
def _times_in(s: IntArray, number: int, shares: int, reference: int) -> int:
    """How often an order filled so many shares at a price."""
    count = 0
    for n in range(s[HAPPENED]):
        e = s[HAPPENED_AT] + n * EVENT_WIDTH
        if (
            s[e + E_STATUS] == FILLS_NOW
            and s[s[e + E_ORDER] + O_ID] == number
            and s[e + E_SHARES] == shares
            and s[e + E_REFERENCE] == reference
        ):
            count += 1
    return count


@inner
def fills_alike(s: IntArray, other: IntArray) -> bool:
    """Whether all that filled in one copy did in another: order, shares and price, in any sequence."""
    for n in range(s[HAPPENED]):
        e = s[HAPPENED_AT] + n * EVENT_WIDTH
        if s[e + E_STATUS] == FILLS_NOW:
            number, shares, reference = s[s[e + E_ORDER] + O_ID], s[e + E_SHARES], s[e + E_REFERENCE]
            if _times_in(s, number, shares, reference) != _times_in(other, number, shares, reference):
                return False
    return True


@inner
def take(
    b: IntArray, g: IntArray, t: IntArray, p: FloatArray, s: IntArray, a: int, code: int, time: int, slot: int, at_close: bool, bar: int, stale: int,
    seen: int, doubted: bool,
) -> None:  # fmt: skip
    """What happened to a copy counts."""
    at = a * b[SYMBOLS] + code
    for o in range(BEGINS, s[HAPPENED_AT], WIDTH):
        order = order_at(g, s[o + OF_ROW])
        reserve(b, at, s[o + O_NEED] - g[order + O_NEED])
        g[order + O_NEED] = s[o + O_NEED]
        g[order + O_SHARES] = s[o + O_SHARES]
        g[order + O_FILLED] = s[o + O_FILLED]
        g[order + O_BEST] = s[o + O_BEST]
        g[order + O_WAITS] = s[o + O_WAITS]
        g[order + O_SINCE] = s[o + O_SINCE]
        g[order + O_REACHED] = s[o + O_REACHED]
    for n in range(s[HAPPENED]):
        e = s[HAPPENED_AT] + n * EVENT_WIDTH
        k = s[s[e + E_ORDER] + OF_ROW]
        if s[e + E_STATUS] == FILLS_NOW:
            note(
                b, g, t, p, k, s[e + E_SHARES], s[e + E_REFERENCE], s[e + E_PRICE], time, slot, at_close, bar, stale, seen, doubted
            )  # fmt: skip
        else:
            finish(b, g, k, s[e + E_STATUS], s[e + E_REASON])
    if s[HAPPENED]:
        b[b[LEVELS_AT] + at] = NULL
    if s[ROOM_FOR] != NULL:
        b[position_at(b, at) + ROOM_LEFT] = s[ROOM_FOR]
