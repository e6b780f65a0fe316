"""An order's life: how it begins, what it needs, how it ends. The rules are docs/decisions/0002."""

from __future__ import annotations

import numpy as np

from bt.execution.compiling import compiled, inner
from bt.execution.layout import (
    ACCOUNTS, AFTER, BUT, BUYING_POWER, BY_SYMBOL, CANCELLED, CASH, COST, DECIDED, ELAPSED, EVENTS, EVERY, EXIT, EXIT_ALL,
    EXIT_ORDER, FILLED, FREE, GATE, GIVEN, GROSS, HAS_MEMBERS, HEAD, HEARS, HIGH, IntArray, KNOWS, LAST, LEVELS_AT,
    LEVERAGE_DOWN, LEVERAGE_UP, LIMIT, LIVE, MARKET, MEMBERS_AT, NET, NEXT_ID, NONE, NOT_IN_UNIVERSE, NO_PRICE, NULL, OPEN,
    OWN_CASH, OWN_ID, OWN_RESERVED, O_ACCOUNT, O_BEFORE, O_CODE, O_DECIDED, O_ID, O_LEVEL, O_LIVE, O_NEED, O_NEXT, O_REASON,
    O_SESSION, O_SHARES, O_TAG, O_TIF, O_TYPE, O_USED, QUALITY, RECORDS, REJECTED, RESERVED, RETARGETED, R_ACCOUNT, R_CODE,
    R_DECIDED, R_ID, R_LEVEL, R_REASON, R_SESSION, R_SHARES, R_STATUS, R_TAG, R_TIF, R_TYPE, SEEN, SEEN_BEFORE, SESSION,
    SHARES_AT, STANDING, SYMBOLS, TAIL, TARGET, TIF, TRADING, USUAL_AT, VALUED, WARM_UP, ZERO_SHARES, account_at,
    event_at, known_at, order_at, position_at, record_at,
)  # fmt: skip
from bt.execution.money import SURELY, floor_portion

# ------------------------------------------------------------------------------------------------------------------ worth


@compiled
def worth(b: IntArray) -> None:
    """Net and gross of all positions at the last closes shown, in NET and GROSS; at cost while a symbol has shown none."""
    symbols = b[SYMBOLS]
    if b[VALUED] >= 0:
        return
    net = gross = 0
    for a in range(b[ACCOUNTS]):
        last = known_at(b, b[account_at(a) + KNOWS], LAST)
        for code in range(symbols):
            held = b[b[SHARES_AT] + a * symbols + code]
            if held != 0:
                value = held * b[last + code] if b[last + code] != 0 else b[position_at(b, a * symbols + code) + COST]
                net += value
                gross += abs(value)
    b[NET] = net
    b[GROSS] = gross
    b[VALUED] = 0


@inner
def power(b: IntArray, a: int, code: int) -> int:
    """Buying power in units, cut to the unit below: leverage x equity - gross - what live orders have reserved."""
    if b[BY_SYMBOL]:
        at = a * b[SYMBOLS] + code
        place = position_at(b, at)
        held, last = b[b[SHARES_AT] + at], b[known_at(b, b[account_at(a) + KNOWS], LAST) + code]
        net = held * last if last != 0 else b[place + COST]
        gross, reserved, cash = abs(net), b[place + OWN_RESERVED], b[place + OWN_CASH]
    else:
        worth(b)
        net, gross, reserved, cash = b[NET], b[GROSS], b[RESERVED], 0
        for one in range(b[ACCOUNTS]):
            cash += b[account_at(one) + CASH]
    return floor_portion(cash + net, b[LEVERAGE_UP], b[LEVERAGE_DOWN]) - gross - reserved


@inner
def reserve(b: IntArray, at: int, amount: int) -> None:
    """Reserve more, or less."""
    if b[BY_SYMBOL]:
        b[position_at(b, at) + OWN_RESERVED] += amount
    else:
        b[RESERVED] += amount


# ------------------------------------------------------------------------------------------------------------------ lives


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
    g[order + O_NEED] = 0
    g[order + O_REASON] = NONE
    g[order + O_BEFORE] = before
    g[order + O_NEXT] = -1
    g[order + O_LIVE] = 0
    g[order + O_USED] = 1
    return k


@compiled
def write(g: IntArray, row: int, k: int, status: int, reason: int, shares: int) -> None:
    """Order `k` as its record, or as on_order and open_orders tell of it, from place `row` on; `shares` are what a target or an exit filled."""
    order = order_at(g, k)
    g[row + R_ID] = g[order + O_ID]
    g[row + R_ACCOUNT] = g[order + O_ACCOUNT]
    g[row + R_CODE] = g[order + O_CODE]
    g[row + R_SESSION] = g[order + O_SESSION]
    g[row + R_DECIDED] = g[order + O_DECIDED]
    g[row + R_TYPE] = g[order + O_TYPE]
    g[row + R_TIF] = g[order + O_TIF]
    g[row + R_SHARES] = g[order + O_SHARES] if g[order + O_TYPE] == MARKET else shares
    g[row + R_LEVEL] = g[order + O_LEVEL] if g[order + O_TYPE] == TARGET else NULL
    g[row + R_STATUS] = status
    g[row + R_REASON] = reason
    g[row + R_TAG] = g[order + O_TAG]


@inner
def tell(b: IntArray, g: IntArray, k: int, status: int, reason: int) -> None:
    """on_order has something to be told."""
    if b[account_at(g[order_at(g, k) + O_ACCOUNT]) + HEARS]:
        write(g, event_at(g, b[EVENTS]), k, status, reason, NULL)
        b[EVENTS] += 1


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
    g[order + O_NEXT] = -1
    g[order + O_LIVE] = 1
    b[account_at(g[order + O_ACCOUNT]) + LIVE] += 1


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
    b[account_at(g[order + O_ACCOUNT]) + LIVE] -= 1


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
def end(b: IntArray, g: IntArray, k: int, status: int, reason: int, shares: int) -> None:
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
    write(g, record_at(g, b[RECORDS]), k, status, reason if reason != NONE else g[order + O_REASON], shares)
    b[RECORDS] += 1
    if status != FILLED:
        tell(b, g, k, status, reason)
    g[order + O_USED] = 0
    g[order + O_NEXT] = b[FREE]
    b[FREE] = k


# ---------------------------------------------------------------------------------------------------------------- checks


@inner
def left_by(b: IntArray, g: IntArray, at: int) -> int:
    """What is left of a position once its live orders, by id, have reduced it: 0 at least, as seen from its side.

    An exit_at_close leaves them theirs: its turn is after them.
    """
    left, k = b[b[SHARES_AT] + at], b[position_at(b, at) + HEAD]
    while k >= 0 and left != 0:
        if g[order_at(g, k) + O_TYPE] != EXIT:
            after = (
                g[order_at(g, k) + O_LEVEL]
                if g[order_at(g, k) + O_TYPE] == TARGET
                else left + g[order_at(g, k) + O_SHARES]
            )
            crosses = after != 0 and (after > 0) != (left > 0)
            if abs(after) < abs(left) or crosses:
                left = 0 if crosses else after
        k = g[order_at(g, k) + O_NEXT]
    return left


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
def cut(b: IntArray, g: IntArray, k: int, left: int, reason: int) -> None:
    """Of an order that would turn what others leave of a position, keep the part that closes it."""
    order = order_at(g, k)
    at = g[order + O_ACCOUNT] * b[SYMBOLS] + g[order + O_CODE]
    g[order + O_REASON] = reason
    if g[order + O_TYPE] == TARGET:
        g[order + O_LEVEL] = 0
    else:
        g[order + O_SHARES] = -left
    need = g[order + O_NEED]
    reserve(b, at, -need)
    g[order + O_NEED] = 0
    b[b[LEVELS_AT] + at] = NULL
    tell(b, g, k, OPEN, reason)


@inner
def admit(b: IntArray, g: IntArray, k: int, change: int) -> bool:
    """Check an order that would change the position by `change`, and make it live, cut or rejected; whether it is live."""
    order = order_at(g, k)
    a, code = g[order + O_ACCOUNT], g[order + O_CODE]
    account = account_at(a)
    if not b[account + TRADING]:
        end(b, g, k, REJECTED, WARM_UP, NULL)
        return False
    at = a * b[SYMBOLS] + code
    left = left_by(b, g, at)
    after = left + change
    crosses = left != 0 and after != 0 and (left > 0) != (after > 0)
    opening = abs(after) if crosses else max(0, abs(after) - abs(left))
    refused, need = NONE, 0
    if opening:
        refused = forbidden(b, a, code)
        if refused == NONE and b[LEVERAGE_UP]:
            price = b[known_at(b, b[account + KNOWS], LAST) + code]
            need = opening * price
            if float(opening) * float(price) > SURELY or need > power(b, a, code):  # no account has what does not fit
                refused, need = BUYING_POWER, 0
    if refused != NONE:
        if not crosses:
            end(b, g, k, REJECTED, refused, NULL)
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


# ---------------------------------------------------------------------------------------------------------------- targets


@inner
def aim(b: IntArray, g: IntArray, a: int, code: int, level: int, tag: int) -> None:
    """A target: make the orders such that the position becomes `level`, unless they are such."""
    at = a * b[SYMBOLS] + code
    place = position_at(b, at)
    k = b[place + HEAD]
    while k >= 0:
        if g[order_at(g, k) + O_TYPE] == TARGET and g[order_at(g, k) + O_LEVEL] == level:
            b[b[LEVELS_AT] + at] = level
            return
        k = g[order_at(g, k) + O_NEXT]
    k = b[place + HEAD]
    while k >= 0:
        following = g[order_at(g, k) + O_NEXT]
        if g[order_at(g, k) + O_TYPE] != EXIT:
            end(b, g, k, CANCELLED, RETARGETED, NULL)
        k = following
    held = b[b[SHARES_AT] + at]
    if held == level:
        if b[place + HEAD] < 0:
            b[b[LEVELS_AT] + at] = level
        return
    k = new(
        b,
        g,
        a,
        code,
        TARGET,
        0,
        level=level,
        tif=b[TIF],
        tag=tag,
        before=0,
        decided=b[account_at(a) + DECIDED],
    )
    if admit(b, g, k, level - held) and g[order_at(g, k) + O_LEVEL] == level:
        b[b[LEVELS_AT] + at] = level


@inner
def refuse_target(b: IntArray, g: IntArray, a: int, code: int, tag: int) -> None:
    """A target whose level cannot be known: a rejected order without one; the symbol's other orders stay."""
    account = account_at(a)
    at, reason = a * b[SYMBOLS] + code, NO_PRICE
    if not b[account + TRADING]:
        reason = WARM_UP
    kept, decided = b[b[LEVELS_AT] + at], b[account + DECIDED]
    k = new(b, g, a, code, TARGET, 0, level=NULL, tif=b[TIF], tag=tag, before=0, decided=decided)
    end(b, g, k, REJECTED, reason, NULL)
    b[b[LEVELS_AT] + at] = kept


@compiled
def decide(b: IntArray, g: IntArray, a: int, codes: IntArray, levels: IntArray, tags: IntArray) -> None:
    """A target a symbol, in order; a level of NULL is one that cannot be known."""
    for k in range(len(codes)):
        if levels[k] == NULL:
            refuse_target(b, g, a, codes[k], tags[k])
        else:
            aim(b, g, a, codes[k], levels[k], tags[k])


@compiled
def order_shares(b: IntArray, g: IntArray, a: int, code: int, shares: int, tif: int, tag: int) -> int:
    """An order of some shares; its id."""
    account = account_at(a)
    k = new(b, g, a, code, MARKET, shares, level=0, tif=tif, tag=tag, before=0, decided=b[account + DECIDED])
    number = g[order_at(g, k) + O_ID]
    if shares == 0 and b[account + TRADING]:
        end(b, g, k, REJECTED, ZERO_SHARES, NULL)
    else:
        admit(b, g, k, shares)
    return number


@inner
def _spare_nobody(b: IntArray, a: int) -> None:
    """An exit of everything is about every symbol again."""
    for at in range(a * b[SYMBOLS], (a + 1) * b[SYMBOLS]):
        b[position_at(b, at) + BUT] = 0


@compiled
def order_exit(b: IntArray, g: IntArray, a: int, code: int, before: int, day: int) -> None:
    """exit_at_close; given again it does nothing, or about everything is about everything again."""
    account = account_at(a)
    every, symbols = b[account + EXIT_ALL], b[SYMBOLS]
    if code == EVERY and every >= 0:
        _spare_nobody(b, a)
        return
    if code != EVERY and b[position_at(b, a * symbols + code) + EXIT_ORDER] >= 0:
        return
    if code == EVERY:
        _spare_nobody(b, a)
    k = new(b, g, a, code, EXIT, 0, level=0, tif=day, tag=0, before=before, decided=b[account + DECIDED])
    if not b[account + TRADING]:
        end(b, g, k, REJECTED, WARM_UP, NULL)
    else:
        stand(b, g, k)
