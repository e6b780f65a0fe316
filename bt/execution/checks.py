"""What an order needs when it is given: it becomes live, is cut to what reduces, or is refused. The rules are docs/decisions/0002 and 0028."""

from __future__ import annotations

import numpy as np

from bt.execution.layout import (
    AFTER,
    AMPLE,
    BUYING_POWER,
    ELAPSED,
    EXIT,
    GATE,
    I_CLOSED,
    I_LOT,
    I_TICK,
    GROUPED,
    HAS_MEMBERS,
    HEAD,
    KNOWS,
    LAST,
    LEVELS_AT,
    LEVERAGE_UP,
    LIMIT,
    LIMIT_ORDER,
    LOT,
    MEMBERS_AT,
    NONE,
    NOT_IN_UNIVERSE,
    NULL,
    O_ACCOUNT,
    O_ASKED,
    O_CODE,
    O_EACH,
    O_FILLED,
    O_GROUP,
    O_ID,
    O_LEVEL,
    O_LIMIT,
    O_NEED,
    O_NEXT,
    O_OPENING,
    O_REASON,
    O_REDUCES,
    O_SHARES,
    O_STOP,
    O_TYPE,
    OPEN,
    QUALITY,
    REJECTED,
    SEEN,
    SEEN_BEFORE,
    SHARES_AT,
    STOP_LOSS,
    SYMBOLS,
    TARGET,
    TICK,
    TRADING,
    USUAL_AT,
    WARM_UP,
    account_at,
    instrument_at,
    known_at,
    order_at,
    position_at,
)  # fmt: skip
from bt.execution.money import SURELY
from bt.execution.orders import end, enter, tell
from bt.execution.power import each_of, power, reserve
from bt.execution.reach import AT_MARKET, left_of, works_as
from bt.jit import IntArray, inner


@inner
def _takes(g: IntArray, one: int, side: int, k: int) -> int:
    """The shares that a live order for a number of them may still take of a position on `side`, as they count for order `k`; what waits for a price
    counts for one that does. A target takes the position to its level, whatever its group."""
    order, mine = order_at(g, one), order_at(g, k)
    if g[order + O_TYPE] == TARGET or (works_as(g, order) != AT_MARKET and g[mine + O_TYPE] < LIMIT_ORDER):
        return 0
    return max(-side * left_of(g, order), 0)


@inner
def left_by(b: IntArray, g: IntArray, k: int) -> int:
    """What is left of a position once live orders given before order `k` have reduced it: 0 at least, as seen from its side.

    An exit_at_close leaves them theirs, for its turn is after them; legs and the order's own group count for nothing, of another group the most that
    one of it takes.
    """
    order = order_at(g, k)
    at = g[order + O_ACCOUNT] * b[SYMBOLS] + g[order + O_CODE]
    held, first = b[b[SHARES_AT] + at], b[position_at(b, at) + HEAD]
    if held == 0:
        return 0
    side = 1 if held > 0 else -1
    left, taken, one = abs(held), 0, first
    while one >= 0:
        other = order_at(g, one)
        if _counts(g, one, k):
            if g[other + O_TYPE] == TARGET:
                left = min(left, max(side * g[other + O_LEVEL], 0))
            else:
                takes = _takes(g, one, side, k)
                if b[GROUPED] and takes:
                    rival, is_most = first, True
                    while rival >= 0 and is_most:
                        if (
                            rival != one
                            and g[order_at(g, rival) + O_GROUP] == g[other + O_GROUP]
                            and _counts(g, rival, k)
                        ):
                            more = _takes(g, rival, side, k)
                            is_most = more < takes or (more == takes and g[order_at(g, rival) + O_ID] > g[other + O_ID])
                        rival = g[order_at(g, rival) + O_NEXT]
                    takes = takes if is_most else 0
                taken += takes
        one = g[other + O_NEXT]
    return side * max(left - taken, 0)


@inner
def _counts(g: IntArray, one: int, k: int) -> bool:
    """Whether a live order's claim on a position counts for order `k` at all."""
    other, order = order_at(g, one), order_at(g, k)
    kind = g[other + O_TYPE]
    return (
        g[other + O_ID] < g[order + O_ID]
        and kind != EXIT
        and kind < STOP_LOSS
        and g[other + O_GROUP] != g[order + O_GROUP]
    )


@inner
def gated(b: IntArray, a: int, code: int) -> bool:
    """Whether quality or completeness as of now forbids entries in a symbol; what is not known forbids nothing."""
    if b[GATE] == NONE or b[ELAPSED] == 0 or b[ELAPSED] < b[AFTER]:
        return False
    market = b[account_at(a) + KNOWS]
    seen = b[known_at(b, market, SEEN) + code] - b[known_at(b, market, SEEN_BEFORE) + code]
    if b[GATE] == QUALITY:
        return 100.0 * seen / b[ELAPSED] < np.int64(b[LIMIT]).view(np.float64)
    twice = b[b[USUAL_AT] + code]
    return twice > 0 and 200.0 * seen / twice < np.int64(b[LIMIT]).view(np.float64)


@inner
def forbidden(b: IntArray, a: int, code: int) -> int:
    """Why nothing may be opened in a symbol now, or NONE."""
    if b[HAS_MEMBERS] and not b[b[MEMBERS_AT] + code]:
        return NOT_IN_UNIVERSE
    return b[GATE] if gated(b, a, code) else NONE


@inner
def unfit(b: IntArray, code: int, shares: int, held: int, one: int, other: int, third: int) -> int:
    """Why the table of instruments refuses an order of some shares at up to three prices (NULL: none), or NONE; what closes a position whole may be no whole lot."""
    at = instrument_at(b, code)
    if b[at + I_CLOSED] != NONE:
        return b[at + I_CLOSED]
    if shares % b[at + I_LOT] and shares != -held:
        return LOT
    tick = b[at + I_TICK]
    for price in (one, other, third):
        if tick and price != NULL and price % tick:
            return TICK
    return NONE


@inner
def cut(b: IntArray, g: IntArray, k: int, left: int, reason: int) -> None:
    """Of an order that would turn what others leave of a position, keep the part that closes it."""
    order = order_at(g, k)
    at = g[order + O_ACCOUNT] * b[SYMBOLS] + g[order + O_CODE]
    g[order + O_REASON] = reason
    if g[order + O_TYPE] == TARGET:
        g[order + O_LEVEL] = 0
    else:
        g[order + O_SHARES] = g[order + O_FILLED] - left
        g[order + O_REDUCES] |= g[order + O_TYPE] >= LIMIT_ORDER
    g[order + O_OPENING] = 0
    need = g[order + O_NEED]
    reserve(b, at, -need)
    g[order + O_NEED] = 0
    b[b[LEVELS_AT] + at] = NULL
    tell(b, g, k, OPEN, reason)


@inner
def _price_of(b: IntArray, g: IntArray, k: int) -> int:
    """The price at which an order's need is reckoned: its limit, else its stop, else the last close shown."""
    order = order_at(g, k)
    if g[order + O_LIMIT] != NULL:
        return g[order + O_LIMIT]
    if g[order + O_STOP] != NULL:
        return g[order + O_STOP]
    return b[known_at(b, b[account_at(g[order + O_ACCOUNT]) + KNOWS], LAST) + g[order + O_CODE]]


@inner
def admit(b: IntArray, g: IntArray, k: int, change: int) -> bool:
    """Check an order that would change the position by `change`, and make it live, cut or rejected; whether it is live."""
    order = order_at(g, k)
    a, code = g[order + O_ACCOUNT], g[order + O_CODE]
    account = account_at(a)
    if not b[account + TRADING]:
        end(b, g, k, REJECTED, WARM_UP)
        return False
    at = a * b[SYMBOLS] + code
    left = left_by(b, g, k)
    after = left + change
    crosses = left != 0 and after != 0 and (left > 0) != (after > 0)
    opening = abs(after) if crosses else max(0, abs(after) - abs(left))
    refused, need = NONE, 0
    g[order + O_ASKED], g[order + O_OPENING] = abs(change), opening
    g[order + O_REDUCES] |= opening == 0 and g[order + O_TYPE] >= LIMIT_ORDER
    if opening:
        refused = forbidden(b, a, code)
        if refused == NONE and b[LEVERAGE_UP]:
            price = each_of(b, code, _price_of(b, g, k))
            g[order + O_EACH] = price
            need = opening * price
            if float(opening) * float(price) > SURELY or (not b[AMPLE] and need > power(b, a, code)):
                refused, need = BUYING_POWER, 0
    if refused != NONE:
        if not crosses:
            end(b, g, k, REJECTED, refused)
            return False
        cut(b, g, k, left, refused)
    if need:
        g[order + O_NEED] = need
        reserve(b, at, need)
    enter(b, g, k)
    if g[order + O_TYPE] != TARGET:
        one = b[position_at(b, at) + HEAD]
        while one >= 0 and g[order_at(g, one) + O_TYPE] != TARGET:
            one = g[order_at(g, one) + O_NEXT]
        if one < 0:
            b[b[LEVELS_AT] + at] = NULL
    return True
