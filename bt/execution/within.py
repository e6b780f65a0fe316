"""What fills within a bar: two paths are tried out on copies, and one of them counts. The rules are docs/decisions/0028.

Most bars reach nothing: then trailing stops follow them, and no copy is made. Where every path fills one order at its level, and that is all, no path is played.
"""

from __future__ import annotations

import numpy as np

from bt.execution.layout import (
    ACCOUNTS,
    AWAKE,
    HEAD,
    IOC,
    KNOWS,
    NEVER,
    NOW,
    NULL,
    O_BEST,
    O_DECIDED,
    O_HAS_LEGS,
    O_ID,
    O_LIMIT,
    O_LIVE,
    O_NEXT,
    O_REACHED,
    O_SIDE,
    O_SINCE,
    O_TIF,
    O_TRAIL,
    O_WAITS,
    OPTIMIST,
    OTHERWISE,
    SEEN_BEFORE,
    SKIPS,
    SYMBOLS,
    TOUCH,
    UNSURE_BARS,
    WAKES_AT,
    account_at,
    known_at,
    order_at,
    position_at,
)  # fmt: skip
from bt.execution.matching import room_of
from bt.execution.money import plus, unit
from bt.execution.reach import AT_LIMIT, AT_MARKET, AT_STOP, TRAILS, level_of, works_as
from bt.execution.standing import (
    BEGINS,
    HAPPENED_AT,
    HELD,
    IS_FRESH,
    ROOM_FOR,
    WIDTH,
    fill_one,
    fills_alike,
    place_of,
    possible,
    standing,
    take,
    worth_of,
)
from bt.execution.tape import (
    FIRST_ROW_AT,
    SLOTS,
    close_of,
    filling_row,
    high_of,
    last_row,
    low_of,
    open_of,
    slot_of,
)
from bt.jit import FloatArray, IntArray, allocating, compiled, inner
from bt.model import UNIT

# ------------------------------------------------------------------------------------------------------------------ a path


@inner
def _may_fill(rows: IntArray, o: int, opened: int) -> bool:
    """Whether an order takes part in a path through the bar that opened then."""
    return bool(
        rows[o + O_LIVE]
        and not rows[o + O_WAITS]
        and rows[o + O_TIF] != IOC
        and works_as(rows, o) != AT_MARKET
        and max(rows[o + O_DECIDED], rows[o + O_SINCE]) <= opened
    )


@inner
def _follow(s: IntArray, price: int, opened: int) -> None:
    """Trailing stops see a price."""
    for o in range(BEGINS, s[HAPPENED_AT], WIDTH):
        if _may_fill(s, o, opened) and works_as(s, o) == TRAILS:
            side = s[o + O_SIDE]
            if s[o + O_BEST] == NULL or side * price < side * s[o + O_BEST]:
                s[o + O_BEST] = price


@inner
def _goes_beyond(s: IntArray, o: int, to: int, touch: int) -> bool:
    """Whether the way to `to` reaches a limit ahead: through it, or with `touch` just to it."""
    side, level = s[o + O_SIDE], level_of(s, o)
    return side * to < side * level or (to == level and touch != 0)


@inner
def _is_reached(s: IntArray, o: int, price: int, to: int, touch: int) -> bool:
    """Whether a price reaches an order, before the path goes on toward `to`."""
    side, level = s[o + O_SIDE], level_of(s, o)
    if works_as(s, o) != AT_LIMIT:
        return side * price >= side * level
    if possible(s, o) == 0 or side * price > side * level:
        return False
    return price != level or s[o + IS_FRESH] != 0 or _goes_beyond(s, o, to, touch)


@inner
def _stop_at(b: IntArray, s: IntArray, price: int, to: int, opened: int) -> None:
    """What is reached at a price fills: those that reduce what is held first, then by id."""
    while True:
        best, best_reduces = -1, False
        for o in range(BEGINS, s[HAPPENED_AT], WIDTH):
            if _may_fill(s, o, opened) and _is_reached(s, o, price, to, b[TOUCH]):
                reduces = s[o + O_SIDE] * s[HELD] < 0
                if (
                    best < 0
                    or (reduces and not best_reduces)
                    or (reduces == best_reduces and s[o + O_ID] < s[best + O_ID])
                ):
                    best, best_reduces = o, reduces
        if best < 0:
            return
        if works_as(s, best) != AT_LIMIT:
            s[best + O_REACHED] = s[best + IS_FRESH] = 1
            if s[best + O_LIMIT] != NULL:
                continue
        if possible(s, best) != 0:
            fill_one(b, s, best, price, NULL, opened)


@inner
def _ahead(s: IntArray, price: int, to: int, opened: int, touch: int) -> int:
    """The next price on the way to `to` at which an order is reached, NULL for none."""
    found = NULL
    for o in range(BEGINS, s[HAPPENED_AT], WIDTH):
        if not _may_fill(s, o, opened):
            continue
        side, level = s[o + O_SIDE], level_of(s, o)
        if works_as(s, o) != AT_LIMIT:
            met = side * price < side * level and side * level <= side * to
        else:
            met = side * price > side * level and possible(s, o) != 0 and _goes_beyond(s, o, to, touch)
        if met and (found == NULL or abs(level - price) < abs(found - price)):
            found = level
    return found


@inner
def _mark(s: IntArray, fresh: int) -> None:
    """Every order is at the price that makes it what it is, or none."""
    for o in range(BEGINS, s[HAPPENED_AT], WIDTH):
        s[o + IS_FRESH] = fresh


@inner
def along(b: IntArray, s: IntArray, first: int, second: int, third: int, last: int, opened: int) -> None:
    """Play a path to a copy: the price moves straight from each point to the next, the first is the open."""
    price, to = first, second
    _mark(s, 1)  # whatever waits for the open's price, or a better one, has it
    _follow(s, price, opened)
    _stop_at(b, s, price, to, opened)
    for leg in range(3):
        to = second if leg == 0 else third if leg == 1 else last
        ahead = _ahead(s, price, to, opened, b[TOUCH])
        while ahead != NULL:
            price = ahead
            _mark(s, 0)
            _follow(s, price, opened)
            _stop_at(b, s, price, to, opened)
            ahead = _ahead(s, price, to, opened, b[TOUCH])
        price = to
        _mark(s, 0)
        _follow(s, price, opened)


# ------------------------------------------------------------------------------------------------------------------- a bar


NOTHING, SEVERAL = -1, -2
"""What a bar reaches: no order; or so many, or one such, that the paths have to be played."""
AHEAD = 64
"""So many bars are looked through for the next that may reach an order: those of an hour."""
NEARLY = 1.0 - 1e-12
"""A level that a price does not come this near to, or to within a unit, is surely not reached, however doubles and prices are rounded."""


@inner
def _is_in_reach(g: IntArray, o: int, low: int, high: int) -> bool:
    """Whether a bar may reach an order that takes part in it; surely not otherwise. What a trailing stop has not known a price for may be reached."""
    works, side = works_as(g, o), g[o + O_SIDE]
    if works == TRAILS:
        if g[o + O_BEST] == NULL:
            return True
        best = min(g[o + O_BEST], low) if side > 0 else max(g[o + O_BEST], high)
        level = best + side * g[o + O_TRAIL]
    else:
        level = level_of(g, o)
    rises = (works == AT_LIMIT) == (side < 0)
    return bool(level <= high if rises else level >= low)


@inner
def _is_passed(g: IntArray, o: int, opens: int, low: int, high: int) -> bool:
    """Whether every path comes to an order's level from the open and goes on beyond it, and no more comes of it than that it fills there."""
    works, side = works_as(g, o), g[o + O_SIDE]
    if g[o + O_HAS_LEGS] or works == TRAILS or (works == AT_STOP and g[o + O_LIMIT] != NULL):
        return False
    level = level_of(g, o)
    ahead = side * opens > side * level if works == AT_LIMIT else side * opens < side * level
    return bool(ahead and low < level < high)


@inner
def _reached(b: IntArray, g: IntArray, at: int, opens: int, low: int, high: int, opened: int) -> int:
    """The one order of a symbol that a bar fills on every path; NOTHING, or SEVERAL."""
    found, trails = NOTHING, False
    k = b[position_at(b, at) + HEAD]
    while k >= 0:
        o = order_at(g, k)
        if _may_fill(g, o, opened):
            trails |= works_as(g, o) == TRAILS
            if _is_in_reach(g, o, low, high):
                found = k if found == NOTHING and _is_passed(g, o, opens, low, high) else SEVERAL
        k = g[o + O_NEXT]
    return SEVERAL if trails and found != NOTHING else found


@inner
def _pass_by(b: IntArray, g: IntArray, at: int, low: int, high: int, opened: int) -> None:
    """Trailing stops follow a bar that reaches nothing."""
    k = b[position_at(b, at) + HEAD]
    while k >= 0:
        o = order_at(g, k)
        if _may_fill(g, o, opened) and works_as(g, o) == TRAILS:
            g[o + O_BEST] = min(g[o + O_BEST], low) if g[o + O_SIDE] > 0 else max(g[o + O_BEST], high)
        k = g[o + O_NEXT]


@inner
def _wakes(b: IntArray, g: IntArray, t: IntArray, p: FloatArray, at: int, row: int) -> int:
    """The next minute whose bar may have to do with the live orders of a symbol that its bar in `row` did not reach; surely none before does."""
    below, above = -np.inf, np.inf
    k = b[position_at(b, at) + HEAD]
    while k >= 0:
        o = order_at(g, k)
        works, side = works_as(g, o), g[o + O_SIDE]
        if works in (AT_MARKET, TRAILS) or g[o + O_TIF] == IOC:
            return AWAKE
        if not g[o + O_WAITS]:
            level = level_of(g, o)
            if (works == AT_LIMIT) == (side < 0):
                above = min(above, float(level - 1) / UNIT * NEARLY)
            else:
                below = max(below, float(level + 1) / UNIT / NEARLY)
        k = g[o + O_NEXT]
    last = last_row(t, at % b[SYMBOLS], t[SLOTS] - 1)
    for ahead in range(row + 1, min(last, row + AHEAD) + 1):
        if low_of(t, p, ahead) <= below or high_of(t, p, ahead) >= above:
            return slot_of(t, ahead)
    return NEVER if last <= row + AHEAD else slot_of(t, row + AHEAD + 1)


@allocating
def _play(
    b: IntArray, g: IntArray, t: IntArray, p: FloatArray, at: int, reached: int, row: int, time: int, slot: int
) -> None:
    """What a bar does to the orders of one account in one symbol; `reached` as of `_reached`."""
    a, code = at // b[SYMBOLS], at % b[SYMBOLS]
    opens, closes = unit(open_of(p, row)), unit(close_of(t, p, row))
    low, high = unit(low_of(t, p, row)), unit(high_of(t, p, row))
    seen = b[known_at(b, b[account_at(a) + KNOWS], SEEN_BEFORE) + code] + row - t[t[FIRST_ROW_AT] + code]
    down = standing(b, g, a, code, room_of(b, t, p, at, row))
    if reached != SEVERAL:
        o = place_of(down, reached)
        if down[ROOM_FOR] == NULL and possible(down, o) != 0:
            fill_one(b, down, o, level_of(down, o), NULL, time)
            take(b, g, t, p, down, a, code, time, slot, False, slot, 0, seen, False)
            return
    up = down.copy()
    along(b, down, opens, low, high, closes, time)
    along(b, up, opens, high, low, closes, time)
    worth_down, worth_up = worth_of(b, down, closes), worth_of(b, up, closes)
    is_up = worth_up > worth_down if b[OPTIMIST] else worth_up < worth_down
    doubted = not (fills_alike(down, up) and fills_alike(up, down))
    if doubted:
        more = worth_down - worth_up if is_up else worth_up - worth_down
        b[account_at(a) + UNSURE_BARS] += 1
        b[account_at(a) + OTHERWISE] = plus(b[account_at(a) + OTHERWISE], more)
    take(b, g, t, p, up if is_up else down, a, code, time, slot, False, slot, 0, seen, doubted)


@compiled
def within(b: IntArray, g: IntArray, t: IntArray, p: FloatArray, time: int, slot: int) -> None:
    """What fills within the bars of a minute that opened at `time`: by account, then symbol."""
    for at in range(b[ACCOUNTS] * b[SYMBOLS]):
        if b[b[WAKES_AT] + at] > slot:
            continue
        if b[position_at(b, at) + HEAD] < 0:
            b[b[WAKES_AT] + at] = NEVER
            continue
        row = filling_row(t, p, at % b[SYMBOLS], slot, b[SKIPS])
        if row < 0:
            continue
        low, high = unit(low_of(t, p, row)), unit(high_of(t, p, row))
        reached = _reached(b, g, at, unit(open_of(p, row)), low, high, time)
        if reached == NOTHING:
            _pass_by(b, g, at, low, high, time)
            b[b[WAKES_AT] + at] = _wakes(b, g, t, p, at, row)
        else:
            b[NOW] = time
            _play(b, g, t, p, at, reached, row, time, slot)
