"""Orders meet prices: at a bar's open or close, and at the last close shown. The rules are docs/decisions/0002 and 0028."""

from __future__ import annotations

from bt.execution.layout import (
    ACCOUNTS, AT_QUOTES, AT_TARGET, BEGIN, CANCELLED, CAP_DOWN, CAP_UP, EXIT, FILLED, GROUPED, HEAD, IOC, I_LOT, KNOWS, LEVELS_AT, MET_AT, NEVER, NONE, NOW, NULL, ON_CLOSE,
    ON_OPEN, OPENS, ORDER_ROOM, O_ACCOUNT, O_CODE, O_DECIDED, O_FILLED, O_ID, O_LEVEL, O_LIMIT, O_NEXT, O_SINCE, O_TIF, O_TYPE, O_USED, O_WAITS, QUOTES, RESTING,
    ROOM_LEFT, ROOM_ROW, SEEN, SHARES_AT, SKIPS, SYMBOLS, TABLED, TARGET, WAKES_AT, account_at, instrument_at, known_at, order_at, position_at,
)  # fmt: skip
from bt.execution.filling import note, paid
from bt.execution.money import floor_portion, unit
from bt.execution.orders import end
from bt.execution.reach import AT_MARKET, fills_at, wanted, works_as
from bt.execution.standing import fill_one, place_of, possible, standing, take
from bt.execution.shown import OUTSIDE, show
from bt.execution.tape import (
    close_of,
    fetch_closes,
    fetch_row,
    filling_row,
    last_filling_row,
    open_of,
    quote_of,
    slot_of,
    time_of,
    volume_of,
)
from bt.jit import BoolArray, FloatArray, IntArray, allocating, compiled, inner

MINUTE = 60_000_000
NEXT_OPEN, NEXT_CLOSE, SAME_CLOSE = range(3)
RULES = ("next_open", "next_close", "same_close")
AT_OPENS, AT_CLOSES, AT_LAST = range(3)
"""Moments: a bar's open or close, or the last close shown; that of each rule has its number."""


@inner
def fill(
    b: IntArray, g: IntArray, t: IntArray, p: FloatArray, k: int, shares: int, reference: int, quoted: int, time: int, slot: int, at_close: bool,
    bar: int, stale: int,
) -> None:  # fmt: skip
    """An order at the market fills whole, and nothing else comes of it: it is booked, recorded, and over. What is `quoted` is NULL where nothing is."""
    order = order_at(g, k)
    a, code, kind, level = g[order + O_ACCOUNT], g[order + O_CODE], g[order + O_TYPE], g[order + O_LEVEL]
    price = paid(b, code, reference, quoted, shares)
    if quoted != NULL:
        b[account_at(a) + AT_QUOTES] += 1
    seen = b[known_at(b, b[account_at(a) + KNOWS], SEEN) + code]
    after = note(b, g, t, p, k, shares, reference, price, time, slot, at_close, bar, stale, seen, False)
    g[order + O_FILLED] += shares
    end(b, g, k, FILLED, NONE)
    at = a * b[SYMBOLS] + code
    if kind == TARGET and after == level and b[position_at(b, at) + HEAD] < 0:
        b[b[LEVELS_AT] + at] = after


@inner
def in_lots(b: IntArray, code: int, shares: int) -> int:
    """Signed shares cut toward zero to whole lots of a symbol, where there is a table of instruments."""
    lot = b[instrument_at(b, code) + I_LOT]
    return shares // lot * lot if shares >= 0 else -(-shares // lot * lot)


@inner
def room_of(b: IntArray, t: IntArray, p: FloatArray, at: int, row: int) -> int:
    """The shares that an account may still fill of a bar, NULL for no cap."""
    if not b[CAP_UP]:
        return NULL
    place = position_at(b, at)
    if b[place + ROOM_ROW] != row:
        b[place + ROOM_ROW] = row
        b[place + ROOM_LEFT] = floor_portion(int(volume_of(t, p, row)), b[CAP_UP], b[CAP_DOWN])
        if b[TABLED]:
            b[place + ROOM_LEFT] = in_lots(b, at % b[SYMBOLS], b[place + ROOM_LEFT])
    return b[place + ROOM_LEFT]


@allocating
def fill_among_others(
    b: IntArray, g: IntArray, t: IntArray, p: FloatArray, k: int, room: int, reference: int, quoted: int, time: int, slot: int, at_close: bool,
    bar: int, stale: int,
) -> None:  # fmt: skip
    """An order fills as far as there is room, with what that sets off among the others of its symbol."""
    order = order_at(g, k)
    a, code = g[order + O_ACCOUNT], g[order + O_CODE]
    s = standing(b, g, a, code, room)
    o = place_of(s, k)
    if possible(s, o) == 0:
        return
    if quoted != NULL and g[order + O_LIMIT] == NULL:
        b[account_at(a) + AT_QUOTES] += 1
    fill_one(b, s, o, reference, quoted, time)
    seen = b[known_at(b, b[account_at(a) + KNOWS], SEEN) + code]
    take(b, g, t, p, s, a, code, time, slot, at_close, bar, stale, seen, False)


@inner
def _bar(
    b: IntArray, t: IntArray, p: FloatArray, code: int, moment: int, slot: int, at_close: bool, only: BoolArray
) -> int:
    """The row of the bar that a symbol's orders meet at a moment, -1 for none."""
    if moment == AT_LAST:
        if len(only) and not only[code]:
            return -1
        return last_filling_row(t, p, code, slot if at_close else slot - 1, b[SKIPS])
    return filling_row(t, p, code, slot, b[SKIPS])


@inner
def _price(t: IntArray, p: FloatArray, moment: int, row: int) -> int:
    """What a bar's orders meet, units."""
    return unit(open_of(p, row) if moment == AT_OPENS else close_of(t, p, row))


@inner
def _quoted(b: IntArray, t: IntArray, p: FloatArray, moment: int, row: int, shares: int) -> int:
    """What is quoted for so many shares at a bar's open, units; NULL at other moments, and where nothing is."""
    return quote_of(t, p, row, shares) if b[QUOTES] and moment == AT_OPENS else NULL


@inner
def _is_ready(
    b: IntArray, g: IntArray, t: IntArray, p: FloatArray, k: int, rule: int, moment: int, due: int, slot: int, at_close: bool, only: BoolArray
) -> bool:  # fmt: skip
    """Whether a live order may fill at a moment; those decided after `due` wait."""
    order = order_at(g, k)
    if g[order + O_WAITS] or max(g[order + O_DECIDED], g[order + O_SINCE]) > due:
        return False
    row, kind = _bar(b, t, p, g[order + O_CODE], moment, slot, at_close, only), g[order + O_TYPE]
    if row < 0 or kind == ON_CLOSE:
        return False
    if kind == ON_OPEN:
        return moment == AT_OPENS and g[order + O_DECIDED] <= b[OPENS]
    if works_as(g, order) == AT_MARKET:
        return moment == rule
    if moment == AT_CLOSES or g[order + O_SINCE] > time_of(t, slot_of(t, row)):
        return False
    if g[order + O_TIF] == IOC and g[order + O_DECIDED] != due:
        return False
    return fills_at(g, order, _price(t, p, moment, row))


@inner
def _ready(
    b: IntArray, g: IntArray, t: IntArray, p: FloatArray, rule: int, moment: int, due: int, slot: int, at_close: bool, only: BoolArray
) -> int:  # fmt: skip
    """How many live orders may fill at a moment; they are written where there is room for them."""
    met, count = g[MET_AT], 0
    for at in range(b[ACCOUNTS] * b[SYMBOLS]):
        if b[b[WAKES_AT] + at] > slot:
            continue
        k = b[position_at(b, at) + HEAD]
        if k < 0:
            b[b[WAKES_AT] + at] = NEVER
        while k >= 0:
            if _is_ready(b, g, t, p, k, rule, moment, due, slot, at_close, only):
                g[met + count] = k
                count += 1
            k = g[order_at(g, k) + O_NEXT]
    return count


@inner
def _turns(
    b: IntArray, g: IntArray, t: IntArray, p: FloatArray, met: IntArray, keys: IntArray, rule: int, moment: int, due: int, slot: int, at_close: bool,
    only: BoolArray,
) -> None:  # fmt: skip
    """Put `met` in their turns, by `keys`, which are made: exits first, then by account and id, an exit_at_close after its symbol's others."""
    for n in range(len(met)):
        k = met[n]
        at = g[order_at(g, k) + O_ACCOUNT] * b[SYMBOLS] + g[order_at(g, k) + O_CODE]
        turn = 2 * g[order_at(g, k) + O_ID]
        one = b[position_at(b, at) + HEAD]
        if g[order_at(g, k) + O_TYPE] == EXIT and g[order_at(g, one) + O_NEXT] >= 0:
            while one >= 0:
                if _is_ready(b, g, t, p, one, rule, moment, due, slot, at_close, only):
                    turn = max(turn, 2 * g[order_at(g, one) + O_ID] + 1)
                one = g[order_at(g, one) + O_NEXT]
        held = b[b[SHARES_AT] + at]
        change = wanted(g, order_at(g, k), held)
        enters = held == 0 or change == 0 or (change > 0) == (held > 0)
        keys[n] = (int(enters) << 62) | (g[order_at(g, k) + O_ACCOUNT] << 48) | turn
    put_in_order(g, met, keys)


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


@inner
def _bring_near(b: IntArray, g: IntArray, t: IntArray, p: FloatArray, met: IntArray, slot: int) -> None:
    """Have the processor bring near the closes that trades will be judged by: one by one each would be waited for."""
    for k in met:
        code = g[order_at(g, k) + O_CODE]
        at = g[order_at(g, k) + O_ACCOUNT] * b[SYMBOLS] + code
        if b[b[SHARES_AT] + at] != 0:
            fetch_row(t, code, min(b[position_at(b, at) + BEGIN], slot))
    for k in met:
        code = g[order_at(g, k) + O_CODE]
        at = g[order_at(g, k) + O_ACCOUNT] * b[SYMBOLS] + code
        if b[b[SHARES_AT] + at] != 0:
            fetch_closes(t, p, code, min(b[position_at(b, at) + BEGIN], slot), slot)


@compiled
def match(
    b: IntArray, g: IntArray, t: IntArray, p: FloatArray, rule: int, moment: int, time: int, due: int, slot: int, at_close: bool,
    known: int, only: BoolArray,
) -> None:  # fmt: skip
    """Fill what finds its price at a moment: over all accounts exits first, then by account and order id; an exit_at_close closes what the
    symbol's other exits leave.

    Fills happen at `time` in minute `slot`, at its open or (`at_close`) at its end; orders decided after `due` wait. What is known is that of minute
    `known`, unless that is OUTSIDE. `only` marks the symbols whose moment it is, with same_close; empty: all.
    """
    count = _ready(b, g, t, p, rule, moment, due, slot, at_close, only)
    if count == 0:
        return
    place = g[MET_AT]
    met, keys = g[place : place + count], g[place + g[ORDER_ROOM] : place + g[ORDER_ROOM] + count]
    b[NOW] = time
    _bring_near(b, g, t, p, met, slot)
    for k in met:
        if known != OUTSIDE:
            show(b, t, p, g[order_at(g, k) + O_CODE], known)
    _turns(b, g, t, p, met, keys, rule, moment, due, slot, at_close, only)
    for k in met:
        if not g[order_at(g, k) + O_USED]:
            continue  # what filled before has ended it
        code = g[order_at(g, k) + O_CODE]
        at = g[order_at(g, k) + O_ACCOUNT] * b[SYMBOLS] + code
        shares = wanted(g, order_at(g, k), b[b[SHARES_AT] + at])
        if shares == 0:
            if g[order_at(g, k) + O_TYPE] == TARGET:
                end(b, g, k, CANCELLED, AT_TARGET)
            continue
        row = _bar(b, t, p, code, moment, slot, at_close, only)
        bar, stale = slot_of(t, row), 0
        if moment == AT_LAST:
            stale = (time - time_of(t, bar) - MINUTE) // MINUTE
        price, quoted = _price(t, p, moment, row), _quoted(b, t, p, moment, row, shares)
        if not b[CAP_UP] and _is_plain(b, g, at, k):
            fill(b, g, t, p, k, shares, price, quoted, time, slot, at_close, bar, stale)
        else:
            room = room_of(b, t, p, at, row)
            fill_among_others(b, g, t, p, k, room, price, quoted, time, slot, at_close, bar, stale)


@inner
def _is_plain(b: IntArray, g: IntArray, at: int, k: int) -> bool:
    """Whether nothing comes of an order's fill but that it is over."""
    if b[RESTING] == 0 and not b[GROUPED]:
        return True
    order = order_at(g, k)
    return g[order + O_TYPE] <= EXIT and b[position_at(b, at) + HEAD] == k and g[order + O_NEXT] < 0
