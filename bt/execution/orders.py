"""An order's life: how it begins, what it needs, how it ends. The rules are docs/decisions/0002 and 0028."""

from __future__ import annotations

import numpy as np

from bt.execution.compiling import compiled, inner
from bt.execution.layout import (
    ACCOUNTS, AFTER, BUT, BUYING_POWER, BY_SYMBOL, CANCELLED, CASH, COST, DECIDED, ELAPSED, EVENTS, EVERY, EXIT, EXIT_ALL, EXIT_ORDER,
    FILLED, FLAT, FREE, GATE, GIVEN, GROSS, GROUPED, GTC, HAS_MEMBERS, HEAD, HEARS, HIGH, IOC, IntArray, KNOWS, LAST, LEVELS_AT,
    LEVERAGE_DOWN, LEVERAGE_UP, LIMIT, LIMIT_ORDER, LIVE, MEMBERS_AT, MINUTED, NET, NEXT_ID, NONE, NOT_IN_UNIVERSE, NO_PRICE, NULL, OCO,
    ON_OPEN, OPEN, ORDER_COLUMNS, OWN_CASH, OWN_ID, OWN_RESERVED, O_ACCOUNT, O_ASKED, O_BEFORE, O_BEST, O_CODE, O_DECIDED, O_EACH, O_FILLED,
    O_GROUP, O_HAS_LEGS, O_ID, O_LEVEL, O_LIMIT, O_LIVE, O_NEED, O_NEXT, O_OPENING, O_PARENT, O_REACHED, O_REASON, O_REDUCES, O_SESSION,
    O_SHARES, O_SIDE, O_SINCE, O_STOP, O_TAG, O_TIF, O_TRAIL, O_TYPE, O_USED, O_WAITS, PARENT, QUALITY, RECORDS, REJECTED, REPLACED,
    RESERVED, RESTING, RETARGETED, R_ACCOUNT, R_CODE, R_DECIDED, R_FILLED, R_ID, R_LEVEL, R_LIMIT, R_PARENT, R_REASON, R_SESSION, R_SHARES,
    R_SIDE, R_STATUS, R_STOP, R_TAG, R_TIF, R_TRAIL, R_TYPE, SEEN, SEEN_BEFORE, SESSION, SHARES_AT, STANDING, STOP_LOSS, SYMBOLS, TAIL,
    TAKE_PROFIT, TARGET, TIF, TRADING, TRAILING_LOSS, USUAL_AT, VALUED, WARM_UP, ZERO_SHARES, account_at, event_at, known_at, order_at,
    position_at, record_at,
)  # fmt: skip
from bt.execution.money import SURELY, floor_portion
from bt.execution.reach import AT_MARKET, left_of, works_as
from bt.execution.shown import OUTSIDE, show, show_worth
from bt.execution.tape import FloatArray

MOST = 2.0**53
"""Up to here every whole number is a double."""
UNORDERED = -2

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
    for column in range(O_FILLED, ORDER_COLUMNS):
        g[order + column] = 0
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
def _count(b: IntArray, g: IntArray, k: int, more: int) -> None:
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
    g[order + O_NEXT] = -1
    g[order + O_LIVE] = 1
    _count(b, g, k, 1)


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
    _count(b, g, k, -1)


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


# ---------------------------------------------------------------------------------------------------------------- checks


@inner
def _takes(g: IntArray, one: int, side: int, k: int) -> int:
    """The shares that a live order may still take of a position on `side`, as they count for order `k`; what waits for a price counts for one that
    does."""
    order, mine = order_at(g, one), order_at(g, k)
    if works_as(g, order) != AT_MARKET and g[mine + O_TYPE] < LIMIT_ORDER:
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
            price = _price_of(b, g, k)
            g[order + O_EACH] = price
            need = opening * price
            if float(opening) * float(price) > SURELY or need > power(b, a, code):  # no account has what does not fit
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


# ---------------------------------------------------------------------------------------------------------------- targets


@inner
def _settles(b: IntArray, g: IntArray, at: int) -> bool:
    """Whether nothing but legs is live in a symbol."""
    k = b[position_at(b, at) + HEAD]
    while k >= 0:
        if g[order_at(g, k) + O_TYPE] < STOP_LOSS:
            return False
        k = g[order_at(g, k) + O_NEXT]
    return True


@inner
def aim(
    b: IntArray, g: IntArray, a: int, code: int, level: int, tag: int, stop_loss: int, take_profit: int, trailing_loss: int
) -> None:  # fmt: skip
    """A target: make the orders such that the position becomes `level`, unless they are such; with the legs whose prices are not NULL."""
    at = a * b[SYMBOLS] + code
    place = position_at(b, at)
    k = b[place + HEAD]
    while k >= 0:
        if g[order_at(g, k) + O_TYPE] == TARGET and g[order_at(g, k) + O_LEVEL] == level:
            b[b[LEVELS_AT] + at] = level
            return
        k = g[order_at(g, k) + O_NEXT]
    held = b[b[SHARES_AT] + at]
    k = b[place + HEAD]
    while k >= 0:
        kind = g[order_at(g, k) + O_TYPE]
        if kind != EXIT and (held != level or kind < STOP_LOSS):
            end(b, g, k, CANCELLED, RETARGETED)
            k = b[place + HEAD]  # legs may have ended with it
        else:
            k = g[order_at(g, k) + O_NEXT]
    if held == level:
        if _settles(b, g, at):
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
    if level == 0:
        stop_loss = take_profit = trailing_loss = NULL
    side = 1 if level < 0 else -1
    if (
        launch(b, g, k, level - held, NONE, side, stop_loss, take_profit, trailing_loss)
        and g[order_at(g, k) + O_LEVEL] == level
    ):
        b[b[LEVELS_AT] + at] = level


@inner
def _leg(b: IntArray, g: IntArray, k: int, kind: int, side: int) -> int:
    """A leg of order `k` that waits with it: its row. It is not among the live ones yet."""
    order = order_at(g, k)
    a, code, tag, number = g[order + O_ACCOUNT], g[order + O_CODE], g[order + O_TAG], g[order + O_ID]
    g[order + O_HAS_LEGS] = 1
    row = new(b, g, a, code, kind, NULL, level=0, tif=GTC, tag=tag, before=0, decided=g[order + O_DECIDED])
    leg = order_at(g, row)
    g[leg + O_PARENT], g[leg + O_SIDE] = number, side
    g[leg + O_WAITS] = g[leg + O_REDUCES] = 1
    return row


@inner
def launch(
    b: IntArray, g: IntArray, k: int, change: int, refused: int, side: int, stop_loss: int, take_profit: int, trailing_loss: int
) -> bool:  # fmt: skip
    """Check an order as `admit` does, unless it is `refused` already, with legs on `side` that wait with it; whether it is live."""
    first = second = third = -1
    if stop_loss != NULL:
        first = _leg(b, g, k, STOP_LOSS, side)
        g[order_at(g, first) + O_STOP] = stop_loss
    if take_profit != NULL:
        second = _leg(b, g, k, TAKE_PROFIT, side)
        g[order_at(g, second) + O_LIMIT] = take_profit
    if trailing_loss != NULL:
        third = _leg(b, g, k, TRAILING_LOSS, side)
        g[order_at(g, third) + O_TRAIL] = trailing_loss
    if refused != NONE:
        end(b, g, k, REJECTED, refused)
        is_live = False
    else:
        is_live = admit(b, g, k, change)
    for leg in (first, second, third):
        if leg >= 0 and is_live:
            enter(b, g, leg)
        elif leg >= 0:
            finish(b, g, leg, CANCELLED, PARENT)
    return is_live


@inner
def refuse_target(b: IntArray, g: IntArray, a: int, code: int, tag: int) -> None:
    """A target whose level cannot be known: a rejected order without one; the symbol's other orders stay."""
    account = account_at(a)
    at, reason = a * b[SYMBOLS] + code, NO_PRICE
    if not b[account + TRADING]:
        reason = WARM_UP
    kept, decided = b[b[LEVELS_AT] + at], b[account + DECIDED]
    k = new(b, g, a, code, TARGET, 0, level=NULL, tif=b[TIF], tag=tag, before=0, decided=decided)
    end(b, g, k, REJECTED, reason)
    b[b[LEVELS_AT] + at] = kept


@compiled
def decide(
    b: IntArray, g: IntArray, t: IntArray, p: FloatArray, known: int, moved: bool, a: int, codes: IntArray, levels: IntArray, numbers: FloatArray,
    tags: IntArray,
) -> int:  # fmt: skip
    """A target a symbol, in order; a level of NULL is one that cannot be known. Where there are `numbers`, one a symbol, they are the levels, and NaN is
    no decision; one of `tags` is that of all.

    What is known is that of minute `known`, unless that is OUTSIDE; `moved` says that time has since anybody asked. Returns, before anything is
    decided, the first number that is no level, or UNORDERED where the codes of numbers are not in order; else -1.
    """
    for k in range(1, len(numbers)):
        if codes[k] <= codes[k - 1]:
            return UNORDERED
    for k in range(len(numbers)):
        if not (np.isnan(numbers[k]) or (numbers[k] == np.rint(numbers[k]) and abs(numbers[k]) <= MOST)):
            return k
    if known != OUTSIDE and moved:
        show_worth(b, t, p, known)
    for k in range(len(codes)):
        code = codes[k]
        if len(numbers):
            if np.isnan(numbers[k]) or b[b[LEVELS_AT] + a * b[SYMBOLS] + code] == int(numbers[k]):
                continue
            level = int(numbers[k])
        else:
            level = levels[k]
        if known != OUTSIDE:
            show(b, t, p, code, known)
        tag = tags[k if len(tags) > 1 else 0]
        if level == NULL:
            refuse_target(b, g, a, code, tag)
        else:
            aim(b, g, a, code, level, tag, NULL, NULL, NULL)
    return -1


@compiled
def aim_with_legs(
    b: IntArray, g: IntArray, a: int, code: int, level: int, tag: int, stop_loss: int, take_profit: int, trailing_loss: int
) -> None:  # fmt: skip
    """One target, with the legs whose prices are not NULL."""
    aim(b, g, a, code, level, tag, stop_loss, take_profit, trailing_loss)


@compiled
def order_shares(
    b: IntArray, g: IntArray, a: int, code: int, kind: int, shares: int, tif: int, tag: int, limit: int, stop: int, trail: int, partner: int,
    stop_loss: int, take_profit: int, trailing_loss: int,
) -> int:  # fmt: skip
    """An order of some shares; its id. Prices, the distance and the id of a `partner` in an oco group are NULL where there are none."""
    account = account_at(a)
    k = new(b, g, a, code, kind, shares, level=0, tif=tif, tag=tag, before=0, decided=b[account + DECIDED])
    order, refused = order_at(g, k), NONE
    number = g[order + O_ID]
    g[order + O_LIMIT], g[order + O_STOP], g[order + O_TRAIL] = limit, stop, trail
    if trail != NULL:
        last = b[known_at(b, b[account + KNOWS], LAST) + code]
        g[order + O_BEST] = last if last != 0 else NULL
    if b[account + TRADING]:
        if shares == 0:
            refused = ZERO_SHARES
        elif partner != NULL:
            group = _group_of(b, g, a * b[SYMBOLS] + code, partner)
            if group == NULL:
                refused = OCO
            else:
                g[order + O_GROUP] = group
                b[GROUPED] = 1
    side = -1 if shares > 0 else int(shares < 0)
    launch(b, g, k, shares, refused, side, stop_loss, take_profit, trailing_loss)
    return number


@inner
def _group_of(b: IntArray, g: IntArray, at: int, number: int) -> int:
    """The group of a symbol's live order of an id, NULL where there is none that others may join."""
    k = b[position_at(b, at) + HEAD]
    while k >= 0:
        if g[order_at(g, k) + O_ID] == number and g[order_at(g, k) + O_TYPE] != EXIT:
            return g[order_at(g, k) + O_GROUP]
        k = g[order_at(g, k) + O_NEXT]
    return NULL


@inner
def _put_back(b: IntArray, g: IntArray, k: int) -> None:
    """An order that was taken out waits at its place again."""
    order = order_at(g, k)
    place = position_at(b, g[order + O_ACCOUNT] * b[SYMBOLS] + g[order + O_CODE])
    one = b[place + HEAD]
    if one < 0 or g[order_at(g, one) + O_ID] > g[order + O_ID]:
        g[order + O_NEXT] = one
        b[place + HEAD] = k
        if one < 0:
            b[place + TAIL] = k
    else:
        while (
            g[order_at(g, one) + O_NEXT] >= 0 and g[order_at(g, g[order_at(g, one) + O_NEXT]) + O_ID] < g[order + O_ID]
        ):
            one = g[order_at(g, one) + O_NEXT]
        g[order + O_NEXT] = g[order_at(g, one) + O_NEXT]
        g[order_at(g, one) + O_NEXT] = k
        if b[place + TAIL] == one:
            b[place + TAIL] = k
    g[order + O_LIVE] = 1
    _count(b, g, k, 1)


@compiled
def replace_order(
    b: IntArray, g: IntArray, old: int, shares: int, limit: int, stop: int, trail: int
) -> int:  # fmt: skip
    """The successor of the live order in row `old`: its id. What is NULL stays as it is; if the successor is refused whole, so does the old one."""
    was = order_at(g, old)
    a, code, kind, before = g[was + O_ACCOUNT], g[was + O_CODE], g[was + O_TYPE], g[was + O_NEED]
    at, waits = a * b[SYMBOLS] + code, g[was + O_WAITS]
    left = left_of(g, was) if shares == NULL else shares
    k = new(
        b, g, a, code, kind, NULL if waits else left, level=0, tif=g[was + O_TIF], tag=g[was + O_TAG], before=0,
        decided=b[account_at(a) + DECIDED],
    )  # fmt: skip
    order = order_at(g, k)
    number = g[order + O_ID]
    g[order + O_LIMIT] = g[was + O_LIMIT] if limit == NULL else limit
    g[order + O_STOP] = g[was + O_STOP] if stop == NULL else stop
    g[order + O_TRAIL] = g[was + O_TRAIL] if trail == NULL else trail
    for column in (O_SIDE, O_PARENT, O_WAITS, O_SINCE, O_BEST, O_GROUP):
        g[order + column] = g[was + column]
    g[order + O_REACHED] = g[was + O_REACHED] and stop == NULL and trail == NULL
    g[order + O_REDUCES] = kind >= STOP_LOSS
    is_live = waits or left != 0
    if not is_live:
        finish(b, g, k, REJECTED, ZERO_SHARES)
    elif kind >= STOP_LOSS:
        enter(b, g, k)
        b[b[LEVELS_AT] + at] = NULL
    else:
        leave(b, g, old)
        reserve(b, at, -before)
        g[was + O_NEED] = 0
        is_live = admit(b, g, k, left)
        _put_back(b, g, old)
        if not is_live:
            reserve(b, at, before)
            g[was + O_NEED] = before
    if is_live:
        g[order + O_HAS_LEGS], g[was + O_HAS_LEGS] = g[was + O_HAS_LEGS], 0
        leg = b[position_at(b, at) + HEAD]
        while leg >= 0:
            if g[order_at(g, leg) + O_PARENT] == g[was + O_ID]:
                g[order_at(g, leg) + O_PARENT] = number
            leg = g[order_at(g, leg) + O_NEXT]
        finish(b, g, old, CANCELLED, REPLACED)
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
        end(b, g, k, REJECTED, WARM_UP)
    else:
        stand(b, g, k)
