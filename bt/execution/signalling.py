"""A session of signals played whole: what is decided of every bar, minute by minute, without a call to Python.

One minute is the one of `bt.engine.playing`: orders given earlier meet the bars that open; the closes become the last ones known; what the
signals say of each symbol with a bar is decided, by symbol. Every order goes through the same rules as one given by a callback. Bars that
say what their symbol's bar before said are passed over, unless something has happened to the symbol's orders since that leaves something to decide.

It is long because it is one loop, whose parts the compiler inlines.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bt.execution.layout import (
    ACCOUNTS, AMPLE, BY_SYMBOL, CAP_UP, CASH, COST, DECIDED, ELAPSED, FILLED, FILLS, GROUPED, HEAD, HIGH, KNOWS, LAST, LEVELS_AT, LIVE, NET, NOW, NULL, ORDER_ROOM, OWN_CASH, O_LEVEL, O_NEXT, O_TYPE, RECORDS, RESTING, ROOM,
    R_CODE, R_LEVEL, R_STATUS, R_TYPE, SHARES_AT, STOP_LOSS, SYMBOLS, TABLED, TARGET, USUAL_AT, VALUED, account_at, known_at, order_at, position_at, record_at,
)  # fmt: skip
from bt.execution.matching import AT_OPENS, MINUTE, NEXT_CLOSE, NEXT_OPEN, SAME_CLOSE, in_lots, match
from bt.execution.money import INT64_MAX, unit
from bt.execution.power import spare, worth
from bt.execution.targets import aim
from bt.execution.reach import AT_MARKET, left_of, works_as
from bt.execution.shown import afford, show_bar, show_held
from bt.execution.tape import SLOTS, close_of, fetch_next, row_of, slot_of, time_of
from bt.execution.within import within
from bt.jit import BoolArray, ByteArray, FloatArray, IntArray, IntTable, SmallTable, compiled, inner

STYLES = ("target", "target_percent", "entries")
LEVELS, FRACTIONS, ENTRIES = range(3)
ENTRY, EXIT, SHORT, COVER = 1, 2, 4, 8
UNSURE = NULL + 1
"""The level of a bar at which Python has to look: no whole number, or one that a double cannot tell."""
SETTLED, OPEN, LOOK = range(3)
"""What has become of what a bar says: decided; or the symbol's next bar has to be looked at too; or Python has to look at it."""
WHOLE = 2.0**52
"""Up to here neighbouring doubles are at most one apart."""
SEVERAL = 4
"""So often an order fills at most between two looks at the room there is, where anything but a whole fill at the market may happen."""
DOUBT = 1e-14
"""Products of doubles are surely closer than this to what they stand for, relatively."""
NEWS_CODE, NEWS_LEVEL, NEWS_CLOSE, NEWS_COLUMNS = range(4)


class Script(NamedTuple):
    """What signals say in a session. By bar in canonical order: its `code`; the `level` that is asked for, or the shares that an entry buys,
    NULL for none and UNSURE where Python has to look; of fractions of equity the `number`, NaN for none, with the level once it is known;
    and in `said` the sum of ENTRY to COVER. `legs` (bars, 3) are the stop_loss, take_profit and trailing_loss of an entry, units, NULL for none and UNSURE
    where Python has to look; (0, 3) where entries have none.

    `turn` are the bars to look at in playback order, those of minute m from ``start[m]`` to ``start[m + 1]``: all of them, or those that
    `news` finds. Then `waiting` marks the symbols whose next bar is looked at too, whatever it says, and `told` (bars, 3) is what most often is asked of each bar in `turn`
    (`NEWS_CODE`, `NEWS_LEVEL`, `NEWS_CLOSE` in units), beside each other in memory, where bars of a minute are not; both are empty where all bars are.
    """

    code: IntArray
    level: IntArray
    number: FloatArray
    said: ByteArray
    legs: IntTable
    turn: IntArray
    start: IntArray
    waiting: ByteArray
    told: IntTable


@compiled
def priced(values: FloatArray, null: BoolArray, legs: IntTable, leg: int) -> None:
    """Fill column `leg` of a `Script`'s legs (bars, 3) with units of the `values`, prices in currency; `null` (or nothing) marks those that are none."""
    for row in range(len(values)):
        scaled = np.rint(values[row] * 1e8)
        legs[row, leg] = int(scaled) if 0.0 < scaled < float(INT64_MAX) else UNSURE
    for row in range(len(null)):
        if null[row]:
            legs[row, leg] = NULL


@inner
def _mark_new(
    style: int, marks: BoolArray, code: IntArray, level: IntArray, number: FloatArray, said: ByteArray
) -> None:
    """Mark the bars that say what their symbol's bar before did not."""
    if len(code) == 0:
        return
    if style == FRACTIONS:
        marks[0] = not np.isnan(number[0])
    else:
        marks[0] = level[0] != NULL if style == LEVELS else said[0] != 0
    # views: the compiler sees that no index of them is negative, and takes several bars at once
    rows = len(code) - 1
    made, symbol, one = marks[1 : rows + 1], code[1:], code[:rows]
    if style == FRACTIONS:
        part, before = number[1:], number[:rows]
        for k in range(rows):
            again = (symbol[k] == one[k]) & (before[k] == 0.0)
            made[k] = (part[k] == part[k]) & ((part[k] != 0.0) | (not again))
        return
    now, then = level[1:], level[:rows]
    if style == LEVELS:
        for k in range(rows):
            made[k] = (now[k] != NULL) & ((now[k] == UNSURE) | (symbol[k] != one[k]) | (now[k] != then[k]))
    else:
        says, did = said[1:], said[:rows]
        for k in range(rows):
            other = (symbol[k] != one[k]) | (says[k] != did[k]) | (now[k] != then[k])
            made[k] = (says[k] != 0) & ((now[k] == UNSURE) | other)


@compiled
def news(
    style: int, visible: BoolArray, t: IntArray, p: FloatArray, start: IntArray, code: IntArray, level: IntArray,
    number: FloatArray, said: ByteArray,
) -> tuple[IntArray, IntArray]:  # fmt: skip
    """The bars of visible symbols that say what their symbol's bar before did not: `turn` and `told` of a `Script`, and in `start` (a zero more than
    there are minutes) where those of each minute begin; the rest is as there.

    What a symbol's bars go on saying is decided already, unless one of its orders was refused, or has ended otherwise than by filling its target.
    """
    marks = np.zeros((len(code) + 7) // 8 * 8, dtype=np.bool_)
    _mark_new(style, marks, code, level, number, said)
    rows, count = np.empty(len(code), dtype=np.int64), 0
    some = marks.view(np.uint64)  # eight bars at once: most say nothing new
    for eight in range(len(some)):
        if some[eight]:
            for row in range(8 * eight, 8 * eight + 8):
                if marks[row] and visible[code[row]]:
                    rows[count] = row
                    count += 1
                    start[slot_of(t, row) + 1] += 1
    for k in range(1, len(start)):
        start[k] += start[k - 1]
    turn = np.empty(count, dtype=np.int64)
    told = np.empty((count, NEWS_COLUMNS), dtype=np.int64)
    free = start.copy()
    for n in range(count):
        row = rows[n]
        k = free[slot_of(t, row)]
        turn[k] = row
        told[k, NEWS_CODE], told[k, NEWS_LEVEL], told[k, NEWS_CLOSE] = code[row], level[row], unit(close_of(t, p, row))
        free[slot_of(t, row)] = k + 1
    return turn, told


@inner
def coming(b: IntArray, g: IntArray, at: int) -> int:
    """The signed shares of a symbol once its live orders have filled; legs, and those that wait for a price, may never."""
    held = b[b[SHARES_AT] + at]
    k = b[position_at(b, at) + HEAD]
    while k >= 0:
        order = order_at(g, k)
        if g[order + O_TYPE] == TARGET:
            held = g[order + O_LEVEL]
        elif g[order + O_TYPE] < STOP_LOSS and works_as(g, order) == AT_MARKET:
            held += left_of(g, order)
        k = g[order + O_NEXT]
    return held


@compiled
def entered(held: int, said: int, shares: int) -> int:
    """The level that entries and exits ask for with `held` shares held and on their way, NULL for none, UNSURE where Python has to look at the `shares`.

    While flat an entry buys and a short sells `shares`; both at once decide nothing. While long an exit, while short a cover asks for 0.
    """
    if held > 0:
        return 0 if said & EXIT else NULL
    if held < 0:
        return 0 if said & COVER else NULL
    if (said & ENTRY != 0) == (said & SHORT != 0) or shares == NULL:
        return NULL
    return shares if said & ENTRY or shares == UNSURE else -shares


@inner
def _equity(b: IntArray, a: int, code: int) -> int:
    """What an account's fractions are of: cash and positions of all who share the money, or of a symbol that has its own."""
    at = a * b[SYMBOLS] + code
    if b[BY_SYMBOL]:
        last = b[known_at(b, b[account_at(a) + KNOWS], LAST) + code]
        return b[position_at(b, at) + OWN_CASH] + (
            b[b[SHARES_AT] + at] * last if last != 0 else b[position_at(b, at) + COST]
        )
    worth(b)
    total = b[NET]
    for one in range(b[ACCOUNTS]):
        total += b[account_at(one) + CASH]
    return total


@inner
def _fraction(number: float, base: int, price: int) -> int:
    """The shares that a fraction of equity is, UNSURE where a double cannot tell."""
    if np.isnan(number):
        return NULL
    if np.isinf(number):
        return UNSURE
    if number == 0.0 or base <= 0:
        return 0
    shares = number * float(base) / float(price)
    if abs(shares - np.rint(shares)) <= abs(shares) * DOUBT or abs(shares) > WHOLE:
        return UNSURE
    return int(np.trunc(shares))


@inner
def _are_sound(legs: IntTable, row: int, level: int) -> bool:
    """Whether an entry may have a bar's legs: prices that are known, the stop_loss on the other side of the take_profit than the level."""
    for leg in range(3):
        if legs[row, leg] == UNSURE:
            return False
    loss, profit = legs[row, 0], legs[row, 1]
    return NULL in (loss, profit) or (loss < profit if level > 0 else loss > profit)


@inner
def _decide(
    b: IntArray, g: IntArray, a: int, style: int, code: int, level: int, number: float, said: int, legs: IntTable, row: int
) -> int:  # fmt: skip
    """Decide what a bar says of its symbol: SETTLED, OPEN where the next bar has to be looked at too, LOOK where Python has to."""
    at, shares = a * b[SYMBOLS] + code, level
    if style == ENTRIES:
        level = entered(coming(b, g, at), said, shares)
    elif style == FRACTIONS and level == NULL:
        level = _fraction(number, _equity(b, a, code), b[known_at(b, b[account_at(a) + KNOWS], LAST) + code])
        if b[TABLED] and level > UNSURE:
            level = in_lots(b, code, level)
    if level == UNSURE or (level not in (NULL, 0) and len(legs) and not _are_sound(legs, row, level)):
        return LOOK
    if level == NULL or b[b[LEVELS_AT] + at] == level:
        return SETTLED
    if len(legs) and level != 0:
        aim(b, g, a, code, level, 0, legs[row, 0], legs[row, 1], legs[row, 2])
    else:
        aim(b, g, a, code, level, 0, NULL, NULL, NULL)
    if style == ENTRIES:  # would the bar after, were it to say the same, decide anything?
        return OPEN if entered(coming(b, g, at), said, shares) != NULL else SETTLED
    return OPEN if b[b[LEVELS_AT] + at] != level else SETTLED


@compiled
def decide_bars(
    b: IntArray, g: IntArray, a: int, style: int, slot: int, begun: int, *script: np.ndarray
) -> tuple[int, int]:
    """Decide every bar of a minute, by symbol, from bar `begun` on (-1: all); `script` are the arrays of a `Script`.

    Returns the bar at which Python has to look, and the equity of which its level is a part; -1 when all are decided.
    """
    told = Script(*script)
    codes, levels, numbers, said, legs, turn = told.code, told.level, told.number, told.said, told.legs, told.turn
    for k in range(told.start[slot], told.start[slot + 1]):
        row = turn[k]
        number = numbers[row] if style == FRACTIONS else 0.0
        says = said[row] if style == ENTRIES else 0
        if row >= begun and _decide(b, g, a, style, codes[row], levels[row], number, says, legs, row) == LOOK:
            return row, _equity(b, a, codes[row])
    return -1, 0


@inner
def fills_each(b: IntArray, legs: bool) -> int:
    """How often an order may fill between two looks at the room there is; `legs` says that orders may have some."""
    return SEVERAL if legs or b[RESTING] or b[CAP_UP] or b[GROUPED] else 1


@inner
def _has_room(b: IntArray, g: IntArray, more: int, legs: bool) -> bool:
    """Whether a minute in which `more` orders may be made surely has room."""
    high = b[HIGH] + more
    return high <= g[ORDER_ROOM] and b[RECORDS] + high <= g[ROOM] and b[FILLS] + fills_each(b, legs) * high <= g[ROOM]


@inner
def _look_after(b: IntArray, g: IntArray, waiting: ByteArray, ended: int) -> int:
    """The symbols of orders that have ended since record `ended` wait to be looked at, unless a target has filled and left nothing to do. How many more do."""
    more = 0
    for k in range(ended, b[RECORDS]):
        record = record_at(g, k)
        code = g[record + R_CODE]
        if (
            g[record + R_STATUS] == FILLED
            and g[record + R_TYPE] == TARGET
            and b[b[LEVELS_AT] + code] == g[record + R_LEVEL]
        ):
            continue
        more += 1 - waiting[code]
        waiting[code] = OPEN
    return more


@inner
def _meet(
    b: IntArray, g: IntArray, t: IntArray, p: FloatArray, waiting: ByteArray, rule: int, moment: int, slot: int,
    only: BoolArray,
) -> int:  # fmt: skip
    """Live orders meet prices; the symbols of those that end wait to be looked at. How many more do."""
    at_close = moment != AT_OPENS
    ended, time = b[RECORDS], time_of(t, slot)
    due = time + MINUTE if moment == SAME_CLOSE else time
    known = slot if at_close else slot - 1
    match(b, g, t, p, rule, moment, time + MINUTE if at_close else time, due, slot, at_close, known, only)
    return _look_after(b, g, waiting, ended)


@inner
def _meet_within(
    b: IntArray, g: IntArray, t: IntArray, p: FloatArray, waiting: ByteArray, slot: int
) -> int:  # fmt: skip
    """Likewise within the bars of a minute."""
    ended = b[RECORDS]
    within(b, g, t, p, time_of(t, slot), slot)
    return _look_after(b, g, waiting, ended)


@inner
def _decide_minute(
    b: IntArray, g: IntArray, t: IntArray, p: FloatArray, style: int, slot: int, begun: int, usual: SmallTable,
    idle: int, levels: IntArray, numbers: FloatArray, said: ByteArray, legs: IntTable, turn: IntArray,
    told: IntTable, first: int, stop: int, waiting: ByteArray,
) -> tuple[int, int]:  # fmt: skip
    """Decide a minute's news, and the bars of the `idle` symbols that wait, by symbol from bar `begun` on; the bar at which Python has to look (-1: none)
    and how many symbols wait now."""
    b[VALUED] = -1
    b[NOW] = b[account_at(0) + DECIDED] = time_of(t, slot) + MINUTE
    left = -1.0 if style == FRACTIONS and not b[BY_SYMBOL] else spare(b)
    if left < 0.0:
        show_held(b, t, p, slot)
        left = np.inf
    k, symbol, by_symbol = first, -1, idle > 0
    while symbol < len(waiting) - 1 if by_symbol else k < stop:
        symbol += 1
        if not by_symbol or (k < stop and told[k, NEWS_CODE] == symbol):
            row, code, level, close = turn[k], told[k, NEWS_CODE], told[k, NEWS_LEVEL], told[k, NEWS_CLOSE]
            k += 1
        elif waiting[symbol] and row_of(t, symbol, slot) >= 0:
            row, code = row_of(t, symbol, slot), symbol
            level, close = levels[row], unit(close_of(t, p, row))
        else:
            continue
        if row < begun:
            continue
        if row == begun:
            level = levels[row]  # Python has looked
        show_bar(b, t, code, row, close, time_of(t, slot))
        if usual.shape[1]:
            b[b[USUAL_AT] + code] = usual[slot, code]
        if level > UNSURE:
            left = afford(b, t, p, left, code, level, slot)
        fetch_next(t, p, code, row, slot)
        b[AMPLE] = left < np.inf
        number = numbers[row] if style == FRACTIONS else 0.0
        now = _decide(b, g, 0, style, code, level, number, said[row] if style == ENTRIES else 0, legs, row)
        b[AMPLE] = 0
        if now == LOOK:
            return row, idle
        idle += now - waiting[code]
        waiting[code] = now
    return -1, idle


@compiled
def play(
    b: IntArray, g: IntArray, t: IntArray, p: FloatArray, usual: SmallTable, rule: int, style: int,
    since: int, begun: int,
    only: BoolArray, *script: np.ndarray,
) -> tuple[int, int, int]:  # fmt: skip
    """Play minutes to the first account from `since` on, the first from its bar `begun` on (-1: from its beginning).

    It stops with the minute and -1 where there may be no room for the minute; with the minute, the bar and the equity where
    Python has to look at a bar. After the last minute the minute is how many there are. What is known is worked out where somebody asks;
    `script` are the arrays of a `Script`.
    """
    of_bars = Script(*script)
    codes, levels, numbers, said, legs = of_bars.code, of_bars.level, of_bars.number, of_bars.said, of_bars.legs
    turn, start, waiting, told = of_bars.turn, of_bars.start, of_bars.waiting, of_bars.told
    live, idle, orders_each = account_at(0) + LIVE, 0, 4 if len(legs) else 1
    for code in range(len(waiting)):
        idle += waiting[code]
    for slot in range(since, t[SLOTS]):
        if begun < 0:
            if not _has_room(b, g, len(waiting) * orders_each, orders_each > 1):
                return slot, -1, 0
            if b[live] and (rule == NEXT_OPEN or b[RESTING]):
                idle += _meet(b, g, t, p, waiting, rule, AT_OPENS, slot, only)
            b[ELAPSED] = slot + 1
            if b[RESTING]:
                idle += _meet_within(b, g, t, p, waiting, slot)
            if rule == NEXT_CLOSE and b[live]:
                idle += _meet(b, g, t, p, waiting, rule, NEXT_CLOSE, slot, only)
        first, stop = start[slot], start[slot + 1]
        if first < stop or idle:
            begun, idle = _decide_minute(
                b,
                g,
                t,
                p,
                style,
                slot,
                begun,
                usual,
                idle,
                levels,
                numbers,
                said,
                legs,
                turn,
                told,
                first,
                stop,
                waiting,
            )
            if begun >= 0:
                return slot, begun, _equity(b, 0, codes[begun])
        if rule == SAME_CLOSE and b[live]:
            idle += _meet(b, g, t, p, waiting, rule, SAME_CLOSE, slot, only)
    return t[SLOTS], -1, 0
