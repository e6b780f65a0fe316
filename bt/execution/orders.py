"""An order's life: how it begins, where it waits, how it ends. The rules are docs/decisions/0002 and 0028."""

from __future__ import annotations


from bt.execution.layout import (
    AWAKE, BY_SYMBOL, CANCELLED, EVENTS, EVERY, EXIT, EXIT_ALL, EXIT_ORDER,
    FILLED, FLAT, FREE, GIVEN, HEAD, HEARS, HIGH, IOC, LEVELS_AT,
    LIVE, MINUTED, NEXT_ID, NONE, NOW, NULL, ON_OPEN, ORDER_COLUMNS, OWN_ID, O_ACCOUNT, O_BEFORE, O_BEST, O_CODE, O_DECIDED, O_FILLED,
    O_GROUP, O_HAS_LEGS, O_ID, O_LEVEL, O_LIMIT, O_LIVE, O_NEED, O_NEXT, O_PARENT, O_REASON, O_SESSION,
    O_SHARES, O_SIDE, O_STOP, O_TAG, O_TIF, O_TRAIL, O_TYPE, O_USED, O_WAITS, PARENT, RECORDS, RESTING, R_ACCOUNT, R_CODE, R_DECIDED, R_ENDED, R_FILLED, R_ID, R_LEVEL, R_LIMIT, R_PARENT, R_REASON, R_SESSION, R_SHARES,
    R_SIDE, R_STATUS, R_STOP, R_TAG, R_TIF, R_TRAIL, R_TYPE, SESSION, STANDING, SYMBOLS, TAIL,
    TARGET, WAKES_AT, account_at, event_at, order_at,
    position_at, record_at,
)  # fmt: skip
from bt.execution.power import reserve
from bt.jit import IntArray, compiled, inner


@inner
def new(
    b: IntArray,
    g: IntArray,
    a: int,
    code: int,
    kind: int,
    shares: int,
    level: int,
    tif: int,
    tag: int,
    before: int,
    decided: int,
) -> int:
    """The next order of an account: its row. It is not live yet."""
    account = account_at(a)
    k = b[FREE]
    if k < 0:
        k = b[HIGH]
        b[HIGH] = k + 1
    else:
        b[FREE] = g[order_at(g, k) + O_NEXT]
    order = order_at(g, k)
    for column in range(ORDER_COLUMNS):
        g[order + column] = 0
    if b[BY_SYMBOL]:
        b[position_at(b, a * b[SYMBOLS] + code) + OWN_ID] += 1
        g[order + O_ID] = b[position_at(b, a * b[SYMBOLS] + code) + OWN_ID]
    else:
        g[order + O_ID] = b[account + NEXT_ID]
        b[account + NEXT_ID] += 1
    b[account + GIVEN] += 1
    g[order + O_ACCOUNT] = a
    g[order + O_CODE] = code
    g[order + O_TYPE] = kind
    g[order + O_SHARES] = shares
    g[order + O_LEVEL] = level
    g[order + O_TIF] = tif
    g[order + O_DECIDED] = decided
    g[order + O_SESSION] = b[SESSION]
    g[order + O_TAG] = tag
    g[order + O_REASON] = NONE
    g[order + O_BEFORE] = before
    g[order + O_NEXT] = -1
    g[order + O_USED] = 1
    g[order + O_SIDE] = (shares > 0) - (shares < 0)
    g[order + O_LIMIT] = g[order + O_STOP] = g[order + O_TRAIL] = g[order + O_BEST] = NULL
    g[order + O_GROUP] = g[order + O_ID]
    return k


@compiled
def write(g: IntArray, row: int, k: int, status: int, reason: int) -> None:
    """Order `k` as its record, or as on_order and open_orders tell of it, from place `row` on; shares of a target or an exit are what it filled."""
    order = order_at(g, k)
    g[row + R_ID] = g[order + O_ID]
    g[row + R_ACCOUNT] = g[order + O_ACCOUNT]
    g[row + R_CODE] = g[order + O_CODE]
    g[row + R_SESSION] = g[order + O_SESSION]
    g[row + R_DECIDED] = g[order + O_DECIDED]
    g[row + R_TYPE] = g[order + O_TYPE]
    g[row + R_TIF] = g[order + O_TIF]
    taken = g[order + O_FILLED] if g[order + O_FILLED] != 0 else NULL
    g[row + R_SHARES] = taken if g[order + O_TYPE] in (TARGET, EXIT) else g[order + O_SHARES]
    g[row + R_LEVEL] = g[order + O_LEVEL] if g[order + O_TYPE] == TARGET else NULL
    g[row + R_STATUS] = status
    g[row + R_REASON] = reason
    g[row + R_TAG] = g[order + O_TAG]
    g[row + R_FILLED] = g[order + O_FILLED]
    g[row + R_SIDE] = g[order + O_SIDE]
    g[row + R_LIMIT] = g[order + O_LIMIT]
    g[row + R_STOP] = g[order + O_STOP]
    g[row + R_TRAIL] = g[order + O_TRAIL]
    g[row + R_PARENT] = g[order + O_PARENT]


@inner
def tell(b: IntArray, g: IntArray, k: int, status: int, reason: int) -> None:
    """on_order has something to be told."""
    if b[account_at(g[order_at(g, k) + O_ACCOUNT]) + HEARS]:
        write(g, event_at(g, b[EVENTS]), k, status, reason)
        b[EVENTS] += 1


@inner
def tally(b: IntArray, g: IntArray, k: int, more: int) -> None:
    """So many more live orders of the kind of `k`."""
    order = order_at(g, k)
    b[account_at(g[order + O_ACCOUNT]) + LIVE] += more
    if g[order + O_TYPE] >= ON_OPEN:
        b[RESTING] += more
    if g[order + O_TIF] == IOC:
        b[MINUTED] += more


@inner
def enter(b: IntArray, g: IntArray, k: int) -> None:
    """The order waits for a price, after the others of its symbol."""
    order = order_at(g, k)
    at = g[order + O_ACCOUNT] * b[SYMBOLS] + g[order + O_CODE]
    place = position_at(b, at)
    if b[place + HEAD] < 0:
        b[place + HEAD] = k
    else:
        g[order_at(g, b[place + TAIL]) + O_NEXT] = k
    b[place + TAIL] = k
    b[b[WAKES_AT] + at] = AWAKE
    g[order + O_NEXT] = -1
    g[order + O_LIVE] = 1
    tally(b, g, k, 1)


@inner
def leave(b: IntArray, g: IntArray, k: int) -> None:
    """The order waits for no price any more."""
    order = order_at(g, k)
    at = g[order + O_ACCOUNT] * b[SYMBOLS] + g[order + O_CODE]
    place = position_at(b, at)
    if b[place + HEAD] == k:
        b[place + HEAD] = g[order + O_NEXT]
    else:
        before = b[place + HEAD]
        while g[order_at(g, before) + O_NEXT] != k:
            before = g[order_at(g, before) + O_NEXT]
        g[order_at(g, before) + O_NEXT] = g[order + O_NEXT]
        if b[place + TAIL] == k:
            b[place + TAIL] = before
    g[order + O_LIVE] = 0
    tally(b, g, k, -1)


@inner
def stand(b: IntArray, g: IntArray, k: int) -> None:
    """The order stands until the close."""
    a, code = g[order_at(g, k) + O_ACCOUNT], g[order_at(g, k) + O_CODE]
    account = account_at(a)
    if code == EVERY:
        b[account + EXIT_ALL] = k
    else:
        b[position_at(b, a * b[SYMBOLS] + code) + EXIT_ORDER] = k
    b[account + STANDING] += 1


@inner
def finish(b: IntArray, g: IntArray, k: int, status: int, reason: int) -> None:
    """An order's life is over: forget it, free its money, keep its record, tell the strategy unless it filled."""
    order = order_at(g, k)
    a, code = g[order + O_ACCOUNT], g[order + O_CODE]
    account = account_at(a)
    if code == EVERY:
        if b[account + EXIT_ALL] == k:
            b[account + EXIT_ALL] = -1
            b[account + STANDING] -= 1
    else:
        at = a * b[SYMBOLS] + code
        place = position_at(b, at)
        if g[order + O_LIVE]:
            leave(b, g, k)
        if b[place + EXIT_ORDER] == k:
            b[place + EXIT_ORDER] = -1
            b[account + STANDING] -= 1
        need = g[order + O_NEED]
        reserve(b, at, -need)
        b[b[LEVELS_AT] + at] = NULL
    write(g, record_at(g, b[RECORDS]), k, status, reason if reason != NONE else g[order + O_REASON])
    g[record_at(g, b[RECORDS]) + R_ENDED] = b[NOW]
    b[RECORDS] += 1
    if status != FILLED:
        tell(b, g, k, status, reason)
    g[order + O_USED] = 0
    g[order + O_NEXT] = b[FREE]
    b[FREE] = k


@inner
def end(b: IntArray, g: IntArray, k: int, status: int, reason: int) -> None:
    """An order's life is over, and that of legs that still wait for it."""
    order = order_at(g, k)
    number, legs, why = g[order + O_ID], g[order + O_HAS_LEGS], FLAT if g[order + O_FILLED] else PARENT
    at = g[order + O_ACCOUNT] * b[SYMBOLS] + g[order + O_CODE]
    finish(b, g, k, status, reason)
    if legs:
        leg = b[position_at(b, at) + HEAD]
        while leg >= 0:
            following = g[order_at(g, leg) + O_NEXT]
            if g[order_at(g, leg) + O_WAITS] and g[order_at(g, leg) + O_PARENT] == number:
                finish(b, g, leg, CANCELLED, why)
            leg = following
