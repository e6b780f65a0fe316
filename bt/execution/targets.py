"""Targets, and the legs of orders. The rules are docs/decisions/0002 and 0028."""

from __future__ import annotations

import numpy as np

from bt.execution.checks import admit, unfit
from bt.execution.layout import (
    AMPLE,
    CANCELLED,
    DECIDED,
    EXIT,
    GTC,
    HEAD,
    LEVELS_AT,
    NO_PRICE,
    NONE,
    NULL,
    O_ACCOUNT,
    O_CODE,
    O_DECIDED,
    O_HAS_LEGS,
    O_ID,
    O_LEVEL,
    O_LIMIT,
    O_NEXT,
    O_PARENT,
    O_REDUCES,
    O_SIDE,
    O_STOP,
    O_TAG,
    O_TRAIL,
    O_TYPE,
    O_WAITS,
    PARENT,
    REJECTED,
    RETARGETED,
    SHARES_AT,
    SHOWN,
    STOP_LOSS,
    SYMBOLS,
    TABLED,
    TAKE_PROFIT,
    TARGET,
    TIF,
    TRADING,
    TRAILING_LOSS,
    VALUED,
    WARM_UP,
    account_at,
    order_at,
    position_at,
)  # fmt: skip
from bt.execution.orders import end, enter, finish, new
from bt.execution.power import spare
from bt.execution.shown import OUTSIDE, afford, show, show_held
from bt.execution.tape import fetch_closes, fetch_next, fetch_row, last_row
from bt.jit import FloatArray, IntArray, ReadFloats, ReadInts, compiled, inner

MOST = 2.0**53
"""Up to here every whole number is a double."""
UNORDERED, ALL_DECIDED = -2, -1
"""What `decide` answers where the codes of numbers are not in order, and where all is decided."""


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
def refuse_target(
    b: IntArray, g: IntArray, a: int, code: int, level: int, tag: int, reason: int, side: int, stop_loss: int, take_profit: int, trailing_loss: int
) -> None:  # fmt: skip
    """A target that cannot be: its level is not known (NULL), or the table of instruments does not allow it. A rejected order; the symbol's other orders stay."""
    account = account_at(a)
    at = a * b[SYMBOLS] + code
    if not b[account + TRADING]:
        reason = WARM_UP
    kept, decided = b[b[LEVELS_AT] + at], b[account + DECIDED]
    k = new(b, g, a, code, TARGET, 0, level=level, tif=b[TIF], tag=tag, before=0, decided=decided)
    launch(b, g, k, 0, reason, side, stop_loss, take_profit, trailing_loss)
    b[b[LEVELS_AT] + at] = kept


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
    if level == 0:
        stop_loss = take_profit = trailing_loss = NULL
    side = 1 if level < 0 else -1
    if b[TABLED] and held != level:
        refused = unfit(b, code, level, 0, stop_loss, take_profit, trailing_loss)
        if refused != NONE:
            refuse_target(b, g, a, code, level, tag, refused, side, stop_loss, take_profit, trailing_loss)
            return
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
    if (
        launch(b, g, k, level - held, NONE, side, stop_loss, take_profit, trailing_loss)
        and g[order_at(g, k) + O_LEVEL] == level
    ):
        b[b[LEVELS_AT] + at] = level


@inner
def _is_wrong(number: float) -> bool:
    """Whether a number is neither a level nor NaN."""
    return not np.isnan(number) and (number != np.rint(number) or abs(number) > MOST)


@inner
def _refused(codes: ReadInts, numbers: ReadFloats) -> int:
    """Why nothing is decided of some symbols, as `decide` answers; ALL_DECIDED where all may be. Counted and not looked for, which is done of several at a time."""
    disorder = wrong = 0
    for k in range(1, len(numbers)):
        disorder += codes[k] <= codes[k - 1]
    for k in range(len(numbers)):
        wrong += _is_wrong(numbers[k])
    if disorder:
        return UNORDERED
    k = 0
    while wrong and not _is_wrong(numbers[k]):
        k += 1
    return k if wrong else ALL_DECIDED


@inner
def _changes(b: IntArray, at: int, number: float) -> bool:
    """Whether a number is a decision, and another level than the one that is kept."""
    return not np.isnan(number) and b[b[LEVELS_AT] + at] != int(number)


@inner
def _bring_near(
    b: IntArray, t: IntArray, p: FloatArray, known: int, a: int, codes: ReadInts, numbers: ReadFloats
) -> None:
    """Have the processor bring near the last bars of the symbols whose level changes: one by one each would be waited for. Without `numbers` all change; where minute `known` is none
    there is nothing to bring."""
    if known < 0:
        return
    for k in range(len(codes)):
        if not len(numbers) or _changes(b, a * b[SYMBOLS] + codes[k], numbers[k]):
            fetch_row(t, codes[k], known)
    for k in range(len(codes)):
        if not len(numbers) or _changes(b, a * b[SYMBOLS] + codes[k], numbers[k]):
            fetch_closes(t, p, codes[k], known, known)


@compiled
def decide(
    b: IntArray, g: IntArray, t: IntArray, p: FloatArray, known: int, a: int, codes: ReadInts, levels: IntArray, numbers: ReadFloats,
    tags: IntArray,
) -> int:  # fmt: skip
    """A target a symbol, in order; a level of NULL is one that cannot be known. Where there are `numbers`, one a symbol, they are the levels, and NaN is
    no decision; one of `tags` is that of all.

    What is known is that of minute `known`, unless that is OUTSIDE. Returns, before anything is
    decided, the first number that is no level, or UNORDERED; else ALL_DECIDED.
    """
    refused = _refused(codes, numbers)
    if refused != ALL_DECIDED:
        return refused
    _bring_near(b, t, p, known, a, codes, numbers)
    left = np.inf
    if known not in (OUTSIDE, b[SHOWN]):
        b[VALUED], left = -1, spare(b)
        if left < 0.0:
            show_held(b, t, p, known)
            left = np.inf
    for k in range(len(codes)):
        code = codes[k]
        if len(numbers):
            if not _changes(b, a * b[SYMBOLS] + code, numbers[k]):
                continue
            level = int(numbers[k])
        else:
            level = levels[k]
        if known != OUTSIDE:
            show(b, t, p, code, known)
            if level != NULL:
                left = afford(b, t, p, left, a * b[SYMBOLS] + code, level, known)
            if known >= 0:
                fetch_next(t, p, code, last_row(t, code, known), known)
        b[AMPLE] = left < np.inf
        tag = tags[k if len(tags) > 1 else 0]
        if level == NULL:
            refuse_target(b, g, a, code, NULL, tag, NO_PRICE, 0, NULL, NULL, NULL)
        else:
            aim(b, g, a, code, level, tag, NULL, NULL, NULL)
        b[AMPLE] = 0
    return ALL_DECIDED


@compiled
def aim_with_legs(
    b: IntArray, g: IntArray, a: int, code: int, level: int, tag: int, stop_loss: int, take_profit: int, trailing_loss: int
) -> None:  # fmt: skip
    """One target, with the legs whose prices are not NULL."""
    aim(b, g, a, code, level, tag, stop_loss, take_profit, trailing_loss)
