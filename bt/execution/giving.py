"""Orders as they are given, replaced, and made to stand until the close. The rules are docs/decisions/0002 and 0028."""

from __future__ import annotations

from bt.execution.checks import admit, unfit
from bt.execution.layout import (
    BUT,
    CANCELLED,
    DECIDED,
    EVERY,
    EXIT,
    EXIT_ALL,
    EXIT_ORDER,
    GROUPED,
    HEAD,
    KNOWS,
    LAST,
    LEVELS_AT,
    NONE,
    NULL,
    O_ACCOUNT,
    O_BEST,
    O_CODE,
    O_GROUP,
    O_HAS_LEGS,
    O_ID,
    O_LIMIT,
    O_LIVE,
    O_NEED,
    O_NEXT,
    O_PARENT,
    O_REACHED,
    O_REDUCES,
    O_SIDE,
    O_SINCE,
    O_STOP,
    O_TAG,
    O_TIF,
    O_TRAIL,
    O_TYPE,
    O_WAITS,
    OCO,
    REJECTED,
    REPLACED,
    SHARES_AT,
    STOP_LOSS,
    SYMBOLS,
    TABLED,
    TAIL,
    TRADING,
    WARM_UP,
    ZERO_SHARES,
    account_at,
    known_at,
    order_at,
    position_at,
)  # fmt: skip
from bt.execution.orders import tally, end, enter, finish, leave, new, stand
from bt.execution.power import reserve
from bt.execution.reach import left_of
from bt.execution.targets import launch
from bt.jit import IntArray, compiled, inner


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
        elif b[TABLED]:
            held = b[b[SHARES_AT] + a * b[SYMBOLS] + code]
            refused = unfit(b, code, shares, held, limit, stop, trail)
            if refused == NONE:
                refused = unfit(b, code, 0, 0, stop_loss, take_profit, trailing_loss)
        if refused == NONE and partner != NULL:
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
    tally(b, g, k, 1)


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
    refused = ZERO_SHARES
    if is_live and b[TABLED]:
        asked = 0 if shares == NULL else shares
        refused = unfit(b, code, asked, b[b[SHARES_AT] + at], limit, stop, trail)
        is_live = refused == NONE
    if not is_live:
        finish(b, g, k, REJECTED, refused)
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
