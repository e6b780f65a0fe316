"""Orders meet prices: at a bar's open or close, at the last close shown, and at the session's close. The rules are docs/decisions/0002."""

from __future__ import annotations

import numpy as np

from bt.execution.compiling import allocating, compiled, inner
from bt.execution.layout import (
    ACCOUNTS, AT_CLOSE, AT_TARGET, BUT, CANCELLED, CLOSES, DAY, DECIDED, ENDED, EVERY, EXIT, EXIT_ALL, EXIT_ORDER, EXPIRED,
    FEE_DOWN, FEE_UP, FILLED, FILLS, FLAT, F_ACCOUNT, F_AFTER, F_BAR, F_CODE, F_COMMISSION, F_ORDER, F_PRICE, F_REFERENCE,
    F_SHARES, F_SLOT, F_STALE, F_TAG, F_TIME, HEAD, HIGH, IntArray, KNOWS, LAST, LEFT_UNIVERSE, LEVELS_AT, MARKET, MEMBERS_AT,
    MINUTES, NONE, NOT_IN_UNIVERSE, NO_BAR, NULL, O_ACCOUNT, O_BEFORE, O_CODE, O_ID, O_LEVEL, O_LIVE, O_NEXT, O_REASON,
    O_SHARES, O_TAG, O_TIF, O_TYPE, O_USED, SEEN, SEEN_BEFORE, SHARES_AT, SLIP_DOWN, SLIP_UP, SPLIT, STANDING, SYMBOLS,
    TARGET, account_at, fill_at, known_at, order_at, position_at,
)  # fmt: skip
from bt.execution.ledger import book_fill
from bt.execution.money import portion, unit
from bt.execution.orders import admit, cut, end, enter, new, stand
from bt.execution.tape import PRINT_AT, SLOTS, FloatArray, close_of, last_row, open_of, row_of, slot_of, time_of

MINUTE = 60_000_000
NEXT_OPEN, NEXT_CLOSE, SAME_CLOSE = range(3)
RULES = ("next_open", "next_close", "same_close")


@inner
def quantity(g: IntArray, k: int, held: int) -> int:
    """The signed shares that order `k` fills with `held` shares held."""
    order = order_at(g, k)
    if g[order + O_TYPE] == MARKET:
        return g[order + O_SHARES]
    return g[order + O_LEVEL] - held if g[order + O_TYPE] == TARGET else -held


@compiled
def paid(b: IntArray, reference: int, shares: int) -> int:
    """The fill price in units: a buy pays more than `reference`, a sell gets less."""
    up, down = b[SLIP_UP], b[SLIP_DOWN]
    if up == 0:
        return reference
    return portion(reference, down + up if shares > 0 else down - up, down)


@compiled
def charged(b: IntArray, shares: int) -> int:
    """The commission of a fill in units."""
    return portion(abs(shares), b[FEE_UP], b[FEE_DOWN])


@inner
def fill(
    b: IntArray, g: IntArray, t: IntArray, p: FloatArray, k: int, shares: int, reference: int, time: int, slot: int, at_close: bool, bar: int,
    stale: int,
) -> None:  # fmt: skip
    """An order fills: it is booked, recorded, and over."""
    order = order_at(g, k)
    a, code, kind, level, tag = (
        g[order + O_ACCOUNT],
        g[order + O_CODE],
        g[order + O_TYPE],
        g[order + O_LEVEL],
        g[order + O_TAG],
    )
    price = paid(b, reference, shares)
    commission = charged(b, shares)
    seen = b[known_at(b, b[account_at(a) + KNOWS], SEEN) + code]
    after = book_fill(b, g, t, p, a, code, shares, price, commission, time, slot, seen, at_close, kind, tag)
    row = b[FILLS]
    g[fill_at(g, row) + F_ORDER] = g[order + O_ID]
    g[fill_at(g, row) + F_ACCOUNT] = a
    g[fill_at(g, row) + F_CODE] = code
    g[fill_at(g, row) + F_TIME] = time
    g[fill_at(g, row) + F_SLOT] = slot
    g[fill_at(g, row) + F_SHARES] = shares
    g[fill_at(g, row) + F_PRICE] = price
    g[fill_at(g, row) + F_REFERENCE] = reference
    g[fill_at(g, row) + F_COMMISSION] = commission
    g[fill_at(g, row) + F_AFTER] = after
    g[fill_at(g, row) + F_STALE] = stale
    g[fill_at(g, row) + F_TAG] = tag
    g[fill_at(g, row) + F_BAR] = bar
    b[FILLS] += 1
    end(b, g, k, FILLED, NONE, shares)
    at = a * b[SYMBOLS] + code
    if kind == TARGET and after == level and b[position_at(b, at) + HEAD] < 0:
        b[b[LEVELS_AT] + at] = after


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
def _closing(t: IntArray, p: FloatArray, code: int, close: int) -> tuple[int, int]:
    """A symbol's price at the session's close and how many minutes it is old; NULL without a bar in the session."""
    row = last_row(t, code, t[SLOTS] - 1)
    if row < 0:
        return NULL, 0
    if t[t[PRINT_AT] + code] != NULL:
        return t[t[PRINT_AT] + code], 0
    return unit(close_of(t, p, row)), (close - time_of(t, slot_of(t, row)) - MINUTE) // MINUTE


@inner
def _cancel_others(b: IntArray, g: IntArray, at: int, k: int) -> None:
    """At the close an exit cancels the symbol's other live orders."""
    one = b[position_at(b, at) + HEAD]
    while one >= 0:
        following = g[order_at(g, one) + O_NEXT]
        if one != k:
            end(b, g, one, CANCELLED, AT_CLOSE, NULL)
        one = following


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


@inner
def put_in_order(g: IntArray, rows: IntArray, keys: IntArray) -> None:
    """Rows of orders by their keys, which are put in order too, then by code (Shell, 1959; gaps after Ciura, 2001)."""
    for gap in (3548, 1577, 701, 301, 132, 57, 23, 10, 4, 1):
        for n in range(gap, len(rows)):
            row, key, place = rows[n], keys[n], n
            while place >= gap and (
                keys[place - gap] > key
                or (
                    keys[place - gap] == key
                    and g[order_at(g, rows[place - gap]) + O_CODE] > g[order_at(g, row) + O_CODE]
                )
            ):
                rows[place] = rows[place - gap]
                keys[place] = keys[place - gap]
                place -= gap
            rows[place] = row
            keys[place] = key


@compiled
def close_exits(b: IntArray, g: IntArray, t: IntArray, p: FloatArray, a: int) -> None:
    """exit_at_close at the close."""
    close, last = b[CLOSES], b[MINUTES] - 1
    k = b[account_at(a) + EXIT_ALL]
    if k >= 0:
        _split(b, g, a, k, close)
        end(b, g, k, CANCELLED, max(g[order_at(g, k) + O_REASON], FLAT), NULL)  # SPLIT where it made others
    for k in _exits(b, g, a):
        code = g[order_at(g, k) + O_CODE]
        at = a * b[SYMBOLS] + code
        _cancel_others(b, g, at, k)
        if b[b[SHARES_AT] + at] == 0:
            end(b, g, k, CANCELLED, FLAT, NULL)
            continue
        price, stale = _closing(t, p, code, close)
        if price == NULL:
            end(b, g, k, EXPIRED, NO_BAR, NULL)
        else:
            fill(b, g, t, p, k, -b[b[SHARES_AT] + at], price, close, last, True, -1, stale)


@compiled
def close_all(b: IntArray, g: IntArray, t: IntArray, p: FloatArray, a: int, tag: int) -> None:
    """at_end = "close": every position is closed at its last close."""
    close, last, market = b[CLOSES], b[MINUTES] - 1, b[account_at(a) + KNOWS]
    for code in range(b[SYMBOLS]):
        at = a * b[SYMBOLS] + code
        if b[b[SHARES_AT] + at] == 0:
            continue
        _cancel_others(b, g, at, -1)
        price, stale = _closing(t, p, code, close)
        if price == NULL:
            price, stale = b[known_at(b, market, LAST) + code], (close - b[known_at(b, market, ENDED) + code]) // MINUTE
        k = new(b, g, a, code, EXIT, 0, 0, DAY, tag, 0, close)
        fill(b, g, t, p, k, -b[b[SHARES_AT] + at], price, close, last, True, -1, stale)


@compiled
def expire(b: IntArray, g: IntArray, a: int) -> None:
    """The session is over: day orders end."""
    for k in live(b, g, a):
        if g[order_at(g, k) + O_TIF] == DAY:
            end(b, g, k, EXPIRED, NO_BAR, NULL)


@compiled
def live(b: IntArray, g: IntArray, a: int) -> IntArray:
    """The rows of an account's orders, standing exits included, by id; a symbol's exit that also waits is there once."""
    found, count = np.empty(b[HIGH], dtype=np.int64), 0
    for k in range(b[HIGH]):
        if g[order_at(g, k) + O_USED] and g[order_at(g, k) + O_ACCOUNT] == a:
            found[count] = k
            count += 1
    return _by_id(g, found[:count])


@compiled
def end_all(b: IntArray, g: IntArray, a: int, status: int, reason: int) -> None:
    """Every order of an account ends."""
    for k in live(b, g, a):
        end(b, g, k, status, reason, NULL)


@compiled
def cancel(b: IntArray, g: IntArray, a: int, code: int, number: int, reason: int) -> bool:
    """Orders that concern a symbol (EVERY: any), or the one of an id (NULL: all), end; whether there were any.

    One that is about every symbol goes on for the others.
    """
    any_found = False
    for k in live(b, g, a):
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
            end(b, g, k, CANCELLED, reason, NULL)
    return any_found


# ------------------------------------------------------------------------------------------------------------------- match


@inner
def _price(b: IntArray, t: IntArray, p: FloatArray, a: int, code: int, rule: int, slot: int, only: np.ndarray) -> int:
    """What a symbol's orders meet in a minute, units: its bar's open or close, or its last close shown; NULL where it has none."""
    if rule == SAME_CLOSE:
        market = b[account_at(a) + KNOWS]
        shown = b[known_at(b, market, SEEN) + code] > b[known_at(b, market, SEEN_BEFORE) + code]
        return b[known_at(b, market, LAST) + code] if shown and (not len(only) or only[code]) else NULL
    row = row_of(t, code, slot)
    if row < 0:
        return NULL
    return unit(open_of(p, row) if rule == NEXT_OPEN else close_of(t, p, row))


@allocating
def _turns(b: IntArray, g: IntArray, met: IntArray) -> None:
    """Put `met` in their turns: exits first, then by account and id, an exit_at_close after its symbol's others."""
    keys = np.empty(len(met), dtype=np.int64)
    for n in range(len(met)):
        k = met[n]
        at = g[order_at(g, k) + O_ACCOUNT] * b[SYMBOLS] + g[order_at(g, k) + O_CODE]
        turn = 2 * g[order_at(g, k) + O_ID]
        one = b[position_at(b, at) + HEAD]
        if g[order_at(g, k) + O_TYPE] == EXIT and g[order_at(g, one) + O_NEXT] >= 0:
            while one >= 0:
                turn = max(turn, 2 * g[order_at(g, one) + O_ID] + 1)
                one = g[order_at(g, one) + O_NEXT]
        held = b[b[SHARES_AT] + at]
        change = quantity(g, k, held)
        enters = held == 0 or change == 0 or (change > 0) == (held > 0)
        keys[n] = (int(enters) << 62) | (g[order_at(g, k) + O_ACCOUNT] << 48) | turn
    put_in_order(g, met, keys)


@compiled
def match(
    b: IntArray, g: IntArray, t: IntArray, p: FloatArray, rule: int, time: int, slot: int, at_close: bool,
    only: np.ndarray,
) -> None:  # fmt: skip
    """Fill what finds a price: over all accounts exits first, then by account and order id; an exit_at_close closes what the
    symbol's other exits leave.

    Fills happen at `time` in minute `slot`, at its open or (`at_close`) at its end. `only` marks the symbols whose moment it is, with same_close; empty: all.
    """
    met, count = np.empty(b[HIGH], dtype=np.int64), 0
    for k in range(b[HIGH]):
        if not g[order_at(g, k) + O_USED] or not g[order_at(g, k) + O_LIVE]:
            continue
        if _price(b, t, p, g[order_at(g, k) + O_ACCOUNT], g[order_at(g, k) + O_CODE], rule, slot, only) != NULL:
            met[count] = k
            count += 1
    if count == 0:
        return
    met = met[:count]
    _turns(b, g, met)
    for k in met:
        a, code = g[order_at(g, k) + O_ACCOUNT], g[order_at(g, k) + O_CODE]
        shares = quantity(g, k, b[b[SHARES_AT] + a * b[SYMBOLS] + code])
        if shares == 0:
            if g[order_at(g, k) + O_TYPE] == TARGET:
                end(b, g, k, CANCELLED, AT_TARGET, NULL)
            continue
        bar, stale = slot, 0
        if rule == SAME_CLOSE:
            bar = slot_of(t, last_row(t, code, slot if at_close else slot - 1))
            if bar != slot:
                stale = (time - b[known_at(b, b[account_at(a) + KNOWS], ENDED) + code]) // MINUTE
        price = _price(b, t, p, a, code, rule, slot, only)
        fill(b, g, t, p, k, shares, price, time, slot, at_close, bar, stale)


# ----------------------------------------------------------------------------------------------------------------- leavers


@compiled
def review(b: IntArray, g: IntArray, a: int, leaves: bool, tag: int) -> None:
    """Orders and positions in symbols that are no members of the universe, as a session begins.

    An order that would open or add ends (`not_in_universe`), one that would turn the position is cut to close it, one that reduces stays.
    With `leaves` every such order ends and what is held is sold at the next open.
    """
    symbols = b[SYMBOLS]
    left = b[b[SHARES_AT] + a * symbols : b[SHARES_AT] + (a + 1) * symbols].copy()
    for k in live(b, g, a):
        code = g[order_at(g, k) + O_CODE]
        if code == EVERY or b[b[MEMBERS_AT] + code]:
            continue
        held = left[code]
        after = held + quantity(g, k, held)
        crosses = held != 0 and after != 0 and (held > 0) != (after > 0)
        if held == 0 or (not crosses and after != 0 and abs(after) > abs(held)):
            end(b, g, k, CANCELLED, NOT_IN_UNIVERSE, NULL)
        elif leaves:
            end(b, g, k, CANCELLED, LEFT_UNIVERSE, NULL)
        elif crosses:
            cut(b, g, k, held, NOT_IN_UNIVERSE)
            left[code] = 0
        else:
            left[code] = after
    if leaves:
        for code in range(symbols):
            held = b[b[SHARES_AT] + a * symbols + code]
            if held != 0 and not b[b[MEMBERS_AT] + code]:
                admit(b, g, new(b, g, a, code, MARKET, -held, 0, DAY, tag, 0, b[account_at(a) + DECIDED]), -held)
