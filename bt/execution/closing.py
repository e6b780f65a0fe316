"""What ends orders besides a price: the session's close, its standing exits, the minute that ioc orders have, a cancel, leaving the universe; and what
ends a position besides an order.

The rules are docs/decisions/0002 and 0028; they are one page because each decides what the others leave.
"""

from __future__ import annotations

import numpy as np

from bt.execution.filling import note
from bt.execution.layout import (
    ACCOUNTS,
    AT_CLOSE,
    BUT,
    CANCELLED,
    CLOSES,
    DAY,
    DECIDED,
    ENDED,
    EVERY,
    EXIT,
    EXIT_ALL,
    EXIT_ORDER,
    EXPIRED,
    EXPIRY_AT,
    FILLED,
    FLAT,
    HAD_ITS_MINUTE,
    HEAD,
    HIGH,
    I_ENDS,
    IOC,
    KNOWS,
    LAST,
    LEFT_UNIVERSE,
    LEVELS_AT,
    MARKET,
    MEMBERS_AT,
    MINUTES,
    NO_BAR,
    NONE,
    NOT_IN_UNIVERSE,
    NOT_LISTED,
    NOW,
    NULL,
    O_ACCOUNT,
    O_BEFORE,
    O_CODE,
    O_DECIDED,
    O_FILLED,
    O_ID,
    O_LEVEL,
    O_LIMIT,
    O_LIVE,
    O_NEXT,
    O_REASON,
    O_REDUCES,
    O_TIF,
    O_TYPE,
    O_USED,
    O_WAITS,
    ON_CLOSE,
    ON_OPEN,
    OPENS,
    RESTING,
    SHARES_AT,
    SKIPS,
    SPLIT,
    STANDING,
    SYMBOLS,
    TARGET,
    UNFILLED,
    account_at,
    instrument_at,
    known_at,
    order_at,
    position_at,
)  # fmt: skip
from bt.execution.matching import MINUTE, fill, fill_among_others, put_in_order
from bt.execution.money import unit
from bt.execution.checks import admit, cut, left_by
from bt.execution.orders import end, enter, finish, new, stand
from bt.execution.reach import left_of
from bt.execution.tape import (
    PRINT_AT,
    SLOTS,
    close_of,
    last_filling_row,
    last_row,
    slot_of,
    time_of,
)
from bt.jit import FloatArray, IntArray, allocating, compiled, inner

# ----------------------------------------------------------------------------------------------------------------- exits


@inner
def _split(b: IntArray, g: IntArray, a: int, k: int, decided: int) -> None:
    """exit_at_close without a symbol: one order for each symbol held that has none of its own, decided now."""
    symbols = b[SYMBOLS]
    for code in range(symbols):
        at = a * symbols + code
        if b[b[SHARES_AT] + at] != 0 and b[position_at(b, at) + EXIT_ORDER] < 0 and not b[position_at(b, at) + BUT]:
            stand(b, g, new(b, g, a, code, EXIT, 0, 0, DAY, 0, g[order_at(g, k) + O_BEFORE], decided))
            g[order_at(g, k) + O_REASON] = SPLIT


@compiled
def wake_exits(b: IntArray, g: IntArray, due: int) -> None:
    """exit_at_close(minutes_before=n) is a live market order from close - n on."""
    close = b[CLOSES]
    for a in range(b[ACCOUNTS]):
        if b[account_at(a) + STANDING] == 0:
            continue
        k = b[account_at(a) + EXIT_ALL]
        if k >= 0 and g[order_at(g, k) + O_BEFORE] and close - g[order_at(g, k) + O_BEFORE] * MINUTE <= due:
            _split(b, g, a, k, close - g[order_at(g, k) + O_BEFORE] * MINUTE)
            g[order_at(g, k) + O_BEFORE] = 0  # what is held again at the close is closed there
        for k in range(b[HIGH]):
            if (
                not g[order_at(g, k) + O_USED]
                or g[order_at(g, k) + O_ACCOUNT] != a
                or g[order_at(g, k) + O_CODE] == EVERY
                or g[order_at(g, k) + O_TYPE] != EXIT
            ):
                continue
            if (
                g[order_at(g, k) + O_BEFORE]
                and not g[order_at(g, k) + O_LIVE]
                and close - g[order_at(g, k) + O_BEFORE] * MINUTE <= due
            ):
                enter(b, g, k)
                b[b[LEVELS_AT] + a * b[SYMBOLS] + g[order_at(g, k) + O_CODE]] = NULL


@inner
def _closing(b: IntArray, t: IntArray, p: FloatArray, code: int, close: int) -> tuple[int, int]:
    """A symbol's price at the session's close and how many minutes it is old; NULL without a bar in the session."""
    row = last_filling_row(t, p, code, t[SLOTS] - 1, b[SKIPS])
    if row < 0:
        return NULL, 0
    if t[t[PRINT_AT] + code] != NULL:
        return t[t[PRINT_AT] + code], 0
    return unit(close_of(t, p, row)), (close - time_of(t, slot_of(t, row)) - MINUTE) // MINUTE


@inner
def _ending(b: IntArray, t: IntArray, p: FloatArray, a: int, code: int, close: int) -> tuple[int, int]:
    """Likewise of what is closed whatever happened: without a bar in the session at the last close shown."""
    price, stale = _closing(b, t, p, code, close)
    if price == NULL:
        market = b[account_at(a) + KNOWS]
        price, stale = b[known_at(b, market, LAST) + code], (close - b[known_at(b, market, ENDED) + code]) // MINUTE
    return price, stale


@inner
def _cancel_others(b: IntArray, g: IntArray, at: int, k: int) -> None:
    """At the close an exit cancels the symbol's other live orders."""
    one = b[position_at(b, at) + HEAD]
    while one >= 0:
        if one != k:
            end(b, g, one, CANCELLED, AT_CLOSE)
            one = b[position_at(b, at) + HEAD]  # legs may have ended with it
        else:
            one = g[order_at(g, one) + O_NEXT]


@allocating
def _exits(b: IntArray, g: IntArray, a: int) -> IntArray:
    """The rows of an account's standing exits of a symbol, by id, then code."""
    count = 0
    found = np.empty(b[HIGH], dtype=np.int64)
    for at in range(a * b[SYMBOLS], (a + 1) * b[SYMBOLS]):
        if b[position_at(b, at) + EXIT_ORDER] >= 0:
            found[count] = b[position_at(b, at) + EXIT_ORDER]
            count += 1
    return _by_id(g, found[:count])


@allocating
def _by_id(g: IntArray, rows: IntArray) -> IntArray:
    """Rows of orders by id, then code."""
    keys = np.empty(len(rows), dtype=np.int64)
    for n in range(len(rows)):
        keys[n] = g[order_at(g, rows[n]) + O_ID]
    put_in_order(g, rows, keys)
    return rows


@compiled
def close_exits(b: IntArray, g: IntArray, t: IntArray, p: FloatArray, a: int) -> None:
    """At the close: exit_at_close, then market_on_close."""
    close, last = b[CLOSES], b[MINUTES] - 1
    k = b[account_at(a) + EXIT_ALL]
    if k >= 0:
        _split(b, g, a, k, close)
        end(b, g, k, CANCELLED, max(g[order_at(g, k) + O_REASON], FLAT))  # SPLIT where it made others
    for k in _exits(b, g, a):
        code = g[order_at(g, k) + O_CODE]
        at = a * b[SYMBOLS] + code
        _cancel_others(b, g, at, k)
        if b[b[SHARES_AT] + at] == 0:
            end(b, g, k, CANCELLED, FLAT)
            continue
        price, stale = _closing(b, t, p, code, close)
        if price == NULL:
            end(b, g, k, EXPIRED, NO_BAR)
        else:
            fill(b, g, t, p, k, -b[b[SHARES_AT] + at], price, NULL, close, last, True, -1, stale)
    if b[RESTING]:
        _fill_on_close(b, g, t, p, a)


@allocating
def _fill_on_close(b: IntArray, g: IntArray, t: IntArray, p: FloatArray, a: int) -> None:
    """Orders for this session's close fill at the price of an exit, if a bar opened since they were decided."""
    close, last = b[CLOSES], b[MINUTES] - 1
    for k in _live(b, g, a):
        order = order_at(g, k)
        if not g[order + O_USED] or g[order + O_TYPE] != ON_CLOSE or g[order + O_DECIDED] >= close:
            continue
        code = g[order + O_CODE]
        if not _has_met(b, t, p, code, g[order + O_DECIDED]):
            end(b, g, k, EXPIRED, NO_BAR)
        else:
            price, stale = _closing(b, t, p, code, close)
            fill_among_others(b, g, t, p, k, NULL, price, NULL, close, last, True, -1, stale)


@inner
def _has_met(b: IntArray, t: IntArray, p: FloatArray, code: int, decided: int) -> bool:
    """Whether a symbol's last bar of the session that fills anything opened at `decided` or later."""
    row = last_filling_row(t, p, code, t[SLOTS] - 1, b[SKIPS])
    return row >= 0 and time_of(t, slot_of(t, row)) >= decided


@compiled
def end_minuted(b: IntArray, g: IntArray, now: int, limits_only: bool) -> None:
    """Orders for one minute that was over `now` ended with it, or with `limits_only` those of them that have a limit."""
    for a in range(b[ACCOUNTS]):
        for k in _live(b, g, a):
            order = order_at(g, k)
            if not g[order + O_USED] or g[order + O_TIF] != IOC or g[order + O_DECIDED] + MINUTE > now:
                continue
            if g[order + O_LIMIT] != NULL or not limits_only:
                b[NOW] = g[order + O_DECIDED] + MINUTE  # whenever it is noticed
                end(b, g, k, CANCELLED, HAD_ITS_MINUTE)
    b[NOW] = now


@compiled
def close_all(b: IntArray, g: IntArray, t: IntArray, p: FloatArray, a: int, tag: int) -> None:
    """at_end = "close": every position is closed at its last close."""
    close, last = b[CLOSES], b[MINUTES] - 1
    for code in range(b[SYMBOLS]):
        at = a * b[SYMBOLS] + code
        if b[b[SHARES_AT] + at] == 0:
            continue
        _cancel_others(b, g, at, -1)
        if b[position_at(b, at) + EXIT_ORDER] >= 0:  # given since the others filled
            end(b, g, b[position_at(b, at) + EXIT_ORDER], CANCELLED, AT_CLOSE)
        price, stale = _ending(b, t, p, a, code, close)
        k = new(b, g, a, code, EXIT, 0, 0, DAY, tag, 0, close)
        fill(b, g, t, p, k, -b[b[SHARES_AT] + at], price, NULL, close, last, True, -1, stale)


@compiled
def expire(b: IntArray, g: IntArray, t: IntArray, p: FloatArray, a: int, traded: bool) -> None:
    """The session is over: day orders end, those for an open that has been, those for one minute; with `traded` only those of symbols with a
    bar in the session."""
    for k in _live(b, g, a):
        order = order_at(g, k)
        if not g[order + O_USED] or (traded and last_row(t, g[order + O_CODE], t[SLOTS] - 1) < 0):
            continue
        kind = g[order + O_TYPE]
        if g[order + O_TIF] == IOC:
            end(b, g, k, CANCELLED, HAD_ITS_MINUTE)
        elif kind == ON_CLOSE or (kind == ON_OPEN and g[order + O_DECIDED] > b[OPENS]):
            continue
        elif g[order_at(g, k) + O_TIF] == DAY:
            met = kind != EXIT and _has_met(b, t, p, g[order + O_CODE], g[order + O_DECIDED])
            end(b, g, k, EXPIRED, UNFILLED if met else NO_BAR)


@allocating
def _live(b: IntArray, g: IntArray, a: int) -> IntArray:
    """The rows of an account's orders, standing exits included, by id; a symbol's exit that also waits is there once."""
    found, count = np.empty(b[HIGH], dtype=np.int64), 0
    for k in range(b[HIGH]):
        if g[order_at(g, k) + O_USED] and g[order_at(g, k) + O_ACCOUNT] == a:
            found[count] = k
            count += 1
    return _by_id(g, found[:count])


@compiled
def live(b: IntArray, g: IntArray, a: int) -> IntArray:
    """Likewise, for Python."""
    return _live(b, g, a)


@compiled
def end_all(b: IntArray, g: IntArray, a: int, status: int, reason: int) -> None:
    """Every order of an account ends."""
    for k in _live(b, g, a):
        if g[order_at(g, k) + O_USED]:
            end(b, g, k, status, reason)


@compiled
def cancel(b: IntArray, g: IntArray, a: int, code: int, number: int, reason: int) -> bool:
    """Orders that concern a symbol (EVERY: any), or the one of an id (NULL: all), end; whether there were any.

    One that is about every symbol goes on for the others.
    """
    any_found = False
    for k in _live(b, g, a):
        if not g[order_at(g, k) + O_USED]:
            continue  # a leg whose parent was cancelled before it
        at = a * b[SYMBOLS] + code
        concerns = (
            code == EVERY
            or g[order_at(g, k) + O_CODE] == code
            or (g[order_at(g, k) + O_CODE] == EVERY and not b[position_at(b, at) + BUT])
        )
        if not concerns or (number != NULL and g[order_at(g, k) + O_ID] != number):
            continue
        any_found = True
        if number == NULL and g[order_at(g, k) + O_CODE] == EVERY:
            b[position_at(b, at) + BUT] = 1
        else:
            end(b, g, k, CANCELLED, reason)
    return any_found


# ----------------------------------------------------------------------------------------------------------------- leavers


@compiled
def review(b: IntArray, g: IntArray, a: int, leaves: bool, tag: int) -> None:
    """Orders and positions in symbols that are no members of the universe, as a session begins.

    An order that would open or add ends (`not_in_universe`), one that would turn the position is cut to close it, one that reduces stays.
    With `leaves` every such order ends and what is held is sold at the next open.
    """
    symbols = b[SYMBOLS]
    for k in _live(b, g, a):
        order = order_at(g, k)
        code = g[order + O_CODE]
        if not g[order + O_USED] or code == EVERY or b[b[MEMBERS_AT] + code]:
            continue
        if g[order + O_REDUCES]:
            if leaves and not g[order + O_WAITS]:
                end(b, g, k, CANCELLED, LEFT_UNIVERSE)
            continue
        held = left_by(b, g, k)
        after = g[order + O_LEVEL] if g[order + O_TYPE] == TARGET else held + left_of(g, order)
        crosses = held != 0 and after != 0 and (held > 0) != (after > 0)
        if held == 0 or (not crosses and after != 0 and abs(after) > abs(held)):
            end(b, g, k, CANCELLED, NOT_IN_UNIVERSE)
        elif leaves:
            end(b, g, k, CANCELLED, LEFT_UNIVERSE)
        elif crosses:
            cut(b, g, k, held, NOT_IN_UNIVERSE)
    if leaves:
        for code in range(symbols):
            held = b[b[SHARES_AT] + a * symbols + code]
            if held != 0 and not b[b[MEMBERS_AT] + code]:
                admit(b, g, new(b, g, a, code, MARKET, -held, 0, DAY, tag, 0, b[account_at(a) + DECIDED]), -held)


# ----------------------------------------------------------------------------------------------------- corporate actions


@compiled
def close_out(
    b: IntArray, g: IntArray, t: IntArray, p: FloatArray, a: int, code: int, kind: int, price: int, time: int
) -> None:  # fmt: skip
    """What is held of a symbol as the session opens is closed by what its company did, at a price that is the last: an order of its own, without
    slippage and commission."""
    shares = -b[b[SHARES_AT] + a * b[SYMBOLS] + code]
    k = new(b, g, a, code, kind, shares, 0, DAY, 0, 0, time)
    g[order_at(g, k) + O_FILLED] = shares
    note(b, g, t, p, k, shares, price, price, time, 0, False, -1, 0, 0, False)
    finish(b, g, k, FILLED, NONE)


@compiled
def retire(b: IntArray, g: IntArray, t: IntArray, p: FloatArray, a: int) -> None:
    """At the close of a symbol's last session its orders expire, and what is held is closed as by an exit, but without slippage and commission."""
    close = b[CLOSES]
    for code in range(b[SYMBOLS]):
        at = a * b[SYMBOLS] + code
        if not b[instrument_at(b, code) + I_ENDS]:
            continue
        while b[position_at(b, at) + HEAD] >= 0:
            end(b, g, b[position_at(b, at) + HEAD], EXPIRED, NOT_LISTED)
        shares = -b[b[SHARES_AT] + at]
        if shares == 0:
            continue
        price, stale = _ending(b, t, p, a, code, close)
        k = new(b, g, a, code, EXPIRY_AT, shares, 0, DAY, 0, 0, close)
        g[order_at(g, k) + O_FILLED] = shares
        note(b, g, t, p, k, shares, price, price, close, b[MINUTES] - 1, True, -1, stale, 0, False)
        finish(b, g, k, FILLED, NONE)
