"""The books: what a fill does to cash, a position and its trade, and what a session made of them."""

from __future__ import annotations

import numpy as np

from bt.errors import MoneyError
from bt.execution.layout import (
    ACCOUNTS, AT_OPEN, AT_QUOTES, AWAKE, BARS_BEFORE, BEGIN, BEST, BY_SYMBOL, CASH, COMMISSION, COST, DOUBTED, ENTERED, ENTERED_VALUE, ENTRY_TAG, EXITED,
    EXITED_VALUE, FILLS, F_ACCOUNT, F_CODE, F_COMMISSION, F_PRICE, F_SHARES, F_SLOT, MINUTES, OPENED, OPENING_CASH,
    OTHERWISE, OWN_CASH, REALIZED, ROOM_ROW, SHARES_AT, SHOWN, SYMBOLS, TRADES, T_ACCOUNT, T_BEST, T_CODE, T_COMMISSION, T_DOUBTED, T_ENTERED,
    T_ENTRY_VALUE, T_EXITED, T_EXIT_VALUE, T_GROSS, T_REASON, T_SHARES, T_TAG, T_WORST, UNSHOWN, UNSURE_BARS, VALUED, WAKES_AT, WORST, account_at, fill_at,
    position_at, trade_at,
)  # fmt: skip
from bt.execution.money import SURELY, plus, portion, times, unit
from bt.execution.tape import FIRST_ROW_AT, LAST_ROW_AT, PRIOR_AT, ROWS, SLOTS, close_of, last_row
from bt.jit import FloatArray, IntArray, IntCube, compiled, inner


@inner
def widen(b: IntArray, t: IntArray, p: FloatArray, at: int, code: int, end: int) -> None:
    """A trade's worst and best P&L take in the closes of the minutes BEGIN <= s < end, in which its position did not change."""
    begin = b[position_at(b, at) + BEGIN]
    if end <= begin:
        return
    row, stop = last_row(t, code, begin), last_row(t, code, end - 1)
    low = high = 0
    if row < 0:
        low = high = t[t[PRIOR_AT] + code]
        row = t[t[FIRST_ROW_AT] + code]
    else:
        low = high = unit(close_of(t, p, row))
    if stop >= 0:
        least = most = close_of(t, p, row)
        for k in range(row + 1, stop + 1):
            close = close_of(t, p, k)
            least = min(least, close)
            most = max(most, close)
        low, high = min(low, unit(least)), max(high, unit(most))
    base = b[position_at(b, at) + REALIZED] - b[position_at(b, at) + COST]
    one, other = base + b[b[SHARES_AT] + at] * low, base + b[b[SHARES_AT] + at] * high
    b[position_at(b, at) + WORST] = min(b[position_at(b, at) + WORST], one, other)
    b[position_at(b, at) + BEST] = max(b[position_at(b, at) + BEST], one, other)


@inner
def _reduce(b: IntArray, at: int, count: int, price: int, commission: int) -> None:
    """Close `count` shares of a position at `price`."""
    held = b[b[SHARES_AT] + at]
    removed = portion(b[position_at(b, at) + COST], count, abs(held))
    sign = 1 if held > 0 else -1
    value = times(count, price)
    b[position_at(b, at) + REALIZED] = plus(b[position_at(b, at) + REALIZED], sign * value - removed)
    b[position_at(b, at) + COST] -= removed
    b[position_at(b, at) + EXITED] += count
    b[position_at(b, at) + EXITED_VALUE] = plus(b[position_at(b, at) + EXITED_VALUE], value)
    b[position_at(b, at) + COMMISSION] += commission
    b[b[SHARES_AT] + at] = held - sign * count


@inner
def _end_trade(b: IntArray, g: IntArray, a: int, code: int, at: int, time: int, side: int, reason: int) -> None:
    number = b[TRADES]
    g[trade_at(g, number) + T_ACCOUNT] = a
    g[trade_at(g, number) + T_CODE] = code
    g[trade_at(g, number) + T_SHARES] = side * b[position_at(b, at) + ENTERED]
    g[trade_at(g, number) + T_ENTERED] = b[position_at(b, at) + OPENED]
    g[trade_at(g, number) + T_EXITED] = time
    g[trade_at(g, number) + T_ENTRY_VALUE] = b[position_at(b, at) + ENTERED_VALUE]
    g[trade_at(g, number) + T_EXIT_VALUE] = b[position_at(b, at) + EXITED_VALUE]
    g[trade_at(g, number) + T_GROSS] = b[position_at(b, at) + REALIZED]
    g[trade_at(g, number) + T_COMMISSION] = b[position_at(b, at) + COMMISSION]
    g[trade_at(g, number) + T_WORST] = b[position_at(b, at) + WORST]
    g[trade_at(g, number) + T_BEST] = b[position_at(b, at) + BEST]
    g[trade_at(g, number) + T_TAG] = b[position_at(b, at) + ENTRY_TAG]
    g[trade_at(g, number) + T_REASON] = reason
    g[trade_at(g, number) + T_DOUBTED] = b[position_at(b, at) + DOUBTED]
    b[TRADES] = number + 1
    for k in range(COST, BEGIN):
        b[position_at(b, at) + k] = 0


@compiled
def book_fill(
    b: IntArray, g: IntArray, t: IntArray, p: FloatArray, a: int, code: int, shares: int, price: int, commission: int, time: int, slot: int, seen: int,
    at_close: bool, reason: int, tag: int, doubted: bool,
) -> int:  # fmt: skip
    """Book a fill of signed `shares` at `price`; the position after it. `reason` is the order's type, `seen` counts the bars before; `doubted`: its bar
    was ambiguous."""
    at = a * b[SYMBOLS] + code
    before = b[b[SHARES_AT] + at]
    after = plus(before, shares)
    moved = plus(-times(shares, price), -commission)
    b[account_at(a) + CASH] = plus(b[account_at(a) + CASH], moved)
    if b[BY_SYMBOL]:
        b[position_at(b, at) + OWN_CASH] += moved
    b[VALUED] = -1
    since = slot + at_close  # a minute's close comes before what fills at it
    reducing = 0 if before == 0 or (before > 0) == (shares > 0) else min(abs(before), abs(shares))
    if before != 0:
        widen(b, t, p, at, code, since)
    if reducing:
        part = commission if reducing == abs(shares) else portion(commission, reducing, abs(shares))
        _reduce(b, at, reducing, price, part)
        b[position_at(b, at) + DOUBTED] |= doubted
        if b[b[SHARES_AT] + at] == 0:
            _end_trade(b, g, a, code, at, time, side=1 if before > 0 else -1, reason=reason)
        commission -= part
        shares += reducing if before > 0 else -reducing
    if shares:
        if b[b[SHARES_AT] + at] == 0:
            b[position_at(b, at) + OPENED] = time
            b[position_at(b, at) + BARS_BEFORE] = seen
            b[position_at(b, at) + ENTRY_TAG] = tag
        value = times(shares, price)
        b[b[SHARES_AT] + at] += shares
        b[position_at(b, at) + COST] = plus(b[position_at(b, at) + COST], value)
        b[position_at(b, at) + ENTERED] += abs(shares)
        b[position_at(b, at) + ENTERED_VALUE] = plus(b[position_at(b, at) + ENTERED_VALUE], abs(value))
        b[position_at(b, at) + COMMISSION] += commission
        b[position_at(b, at) + DOUBTED] |= doubted
    b[position_at(b, at) + BEGIN] = since
    return after


@compiled
def begin_session(b: IntArray) -> None:
    """What is held, and the cash, as the session opens; nothing has happened yet."""
    for a in range(b[ACCOUNTS]):
        b[account_at(a) + OPENING_CASH] = b[account_at(a) + CASH]
        b[account_at(a) + UNSURE_BARS] = b[account_at(a) + OTHERWISE] = b[account_at(a) + AT_QUOTES] = 0
    b[SHOWN] = UNSHOWN
    for at in range(b[ACCOUNTS] * b[SYMBOLS]):
        b[position_at(b, at) + AT_OPEN] = b[b[SHARES_AT] + at]
        b[position_at(b, at) + BEGIN] = 0
        b[position_at(b, at) + ROOM_ROW] = -1
        b[b[WAKES_AT] + at] = AWAKE


@compiled
def finish_session(
    b: IntArray, g: IntArray, t: IntArray, p: FloatArray, curves: IntCube, first: IntArray, after: IntArray
) -> None:
    """What is held is marked to the end; `curves` (accounts, 4, minutes) become equity, cash, gross and net at each minute's end.

    One more than the first fill of each position is written to `first`, zeros, and than the next one after each fill to `after`; 0 is none.
    """
    symbols, minutes = b[SYMBOLS], b[MINUTES]
    for k in range(b[FILLS] - 1, -1, -1):
        fill = fill_at(g, k)
        at = g[fill + F_ACCOUNT] * symbols + g[fill + F_CODE]
        after[k], first[at] = first[at], k + 1
        curves[g[fill + F_ACCOUNT], 1, g[fill + F_SLOT]] -= (
            g[fill + F_SHARES] * g[fill + F_PRICE] + g[fill + F_COMMISSION]
        )
    for a in range(b[ACCOUNTS]):
        cash = b[account_at(a) + OPENING_CASH]
        largest = abs(float(cash))
        for slot in range(minutes):
            cash += curves[a, 1, slot]
            curves[a, 1, slot] = cash
        for code in range(symbols):
            at = a * symbols + code
            if b[b[SHARES_AT] + at] != 0:
                widen(b, t, p, at, code, minutes)
            if first[at] or b[position_at(b, at) + AT_OPEN] != 0:
                largest += _mark(b, g, t, p, curves, a, code, first[at] - 1, after)
        if largest > SURELY:
            raise MoneyError("money: the positions' value must fit int64 units of 1e-8, was more; use smaller orders")
        for slot in range(minutes):
            curves[a, 0, slot] = curves[a, 1, slot] + curves[a, 3, slot]


@inner
def _mark(
    b: IntArray, g: IntArray, t: IntArray, p: FloatArray, curves: IntCube, a: int, code: int, k: int, after: IntArray
) -> float:
    """A symbol's worth is added to gross and net at each minute's end; the greatest it was, as a double. Its first fill is number `k`, -1 for none."""
    held = b[position_at(b, a * b[SYMBOLS] + code) + AT_OPEN]
    gross, net, minutes = curves[a, 2], curves[a, 3], b[MINUTES]
    rows = t[t[LAST_ROW_AT] + code * t[SLOTS] : t[LAST_ROW_AT] + code * t[SLOTS] + minutes]
    closes, prior = p[t[ROWS] : 2 * t[ROWS]], t[t[PRIOR_AT] + code]
    most, slot = 0.0, 0
    while slot < minutes:
        while k >= 0 and g[fill_at(g, k) + F_SLOT] <= slot:
            held += g[fill_at(g, k) + F_SHARES]
            k = after[k] - 1
        stop = min(g[fill_at(g, k) + F_SLOT], minutes) if k >= 0 else minutes
        if held != 0:
            top = _hold(held, rows[slot:stop], closes, prior, gross[slot:stop], net[slot:stop])
            most = max(most, abs(float(held) * float(top)))
        slot = stop
    return most


@inner
def _hold(held: int, rows: IntArray, closes: FloatArray, prior: int, gross: IntArray, net: IntArray) -> int:
    """What is held through some minutes is added to `gross` and `net`; the greatest price, units. `rows` are the last bars by then, -1 before the first: then
    the price is `prior`."""
    size, top, first = abs(held), 0, rows[0]
    if first >= 0 and rows[len(rows) - 1] - first == len(rows) - 1:  # a bar every minute
        prices = closes[first : first + len(rows)]
        # positive doubles are in the order of their bits, and whole numbers are compared several at once
        bits = prices.view(np.int64)
        for k in range(len(bits)):
            top = max(top, bits[k])
        top = unit(np.int64(top).view(np.float64))
        for k in range(len(prices)):
            price = int(np.rint(prices[k] * 1e8))
            gross[k] += size * price
            net[k] += held * price
        return top
    for k in range(len(rows)):
        price = unit(closes[rows[k]]) if rows[k] >= 0 else prior
        top = max(top, price)
        gross[k] += size * price
        net[k] += held * price
    return top
