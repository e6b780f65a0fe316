"""A session of signals played whole: what is decided of every bar, minute by minute, without a call to Python.

One minute is the one of `bt.engine.playing`: orders given earlier meet the bars that open; the closes become the last ones known; what the
signals say of each symbol with a bar is decided, by symbol. Every order goes through the same rules as one given by a callback.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bt.execution.compiling import compiled, inner
from bt.execution.layout import (
    ACCOUNTS, BY_SYMBOL, CASH, COST, DECIDED, ELAPSED, ENDED, HEAD, HIGH, IntArray, KNOWS, LAST, LEVELS_AT, LIVE, NET, NULL,
    ORDER_ROOM, OWN_CASH, O_LEVEL, O_NEXT, O_SHARES, O_TYPE, RECORDS, ROOM, SEEN, SHARES_AT, SYMBOLS, TARGET, Tape, USUAL_AT,
    VALUED, account_at, known_at, order_at, position_at,
)  # fmt: skip
from bt.execution.matching import MINUTE, NEXT_CLOSE, NEXT_OPEN, SAME_CLOSE, match
from bt.execution.money import unit
from bt.execution.orders import aim, worth

STYLES = ("target", "target_percent", "entries")
LEVELS, FRACTIONS, ENTRIES = range(3)
ENTRY, EXIT, SHORT, COVER = 1, 2, 4, 8
UNSURE = NULL + 1
"""The level of a bar at which Python has to look: no whole number, or one that a double cannot tell."""
WHOLE = 2.0**52
"""Up to here neighbouring doubles are at most one apart."""
DOUBT = 1e-14
"""Products of doubles are surely closer than this to what they stand for, relatively."""


class Script(NamedTuple):
    """What signals say in a session. By bar in canonical order: its `code`; the `level` that is asked for, or the shares that an entry buys,
    NULL for none and UNSURE where Python has to look; of fractions of equity the `number`, NaN for none, with the level once it is known;
    and in `said` the sum of ENTRY to COVER.

    `turn` are the bars to play in playback order, those of minute m from ``start[m]`` to ``start[m + 1]``.
    """

    code: IntArray
    level: IntArray
    number: npt.NDArray[np.float64]
    said: npt.NDArray[np.uint8]
    turn: IntArray
    start: IntArray


@inner
def coming(b: IntArray, g: IntArray, at: int) -> int:
    """The signed shares of a symbol once its live orders have filled."""
    held = b[b[SHARES_AT] + at]
    k = b[position_at(b, at) + HEAD]
    while k >= 0:
        held = (
            g[order_at(g, k) + O_LEVEL] if g[order_at(g, k) + O_TYPE] == TARGET else held + g[order_at(g, k) + O_SHARES]
        )
        k = g[order_at(g, k) + O_NEXT]
    return held


@compiled
def entered(held: int, said: int, shares: int) -> int:
    """The level that entries and exits ask for with `held` shares held and on their way, NULL for none.

    While flat an entry buys and a short sells `shares`; both at once decide nothing. While long an exit, while short a cover asks for 0.
    """
    if held > 0:
        return 0 if said & EXIT else NULL
    if held < 0:
        return 0 if said & COVER else NULL
    if (said & ENTRY != 0) == (said & SHORT != 0) or shares == NULL:
        return NULL
    return shares if said & ENTRY else -shares


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
def decide_minute(
    b: IntArray, g: IntArray, script: Script, a: int, style: int, slot: int, begun: int
) -> tuple[int, int]:
    """Decide the bars of a minute from number `begun` on (-1: all).

    Returns the number of the bar at which Python has to look, and the equity of which its level is a part; -1 when the minute is decided.
    """
    base = 0
    for k in range(script.start[slot] if begun < 0 else begun, script.start[slot + 1]):
        row = script.turn[k]
        code = script.code[row]
        level = script.level[row]
        at = a * b[SYMBOLS] + code
        if style == ENTRIES:
            level = entered(coming(b, g, at), script.said[row], level)
        elif style == FRACTIONS and level == NULL:
            if b[BY_SYMBOL] or base == 0:
                base = _equity(b, a, code)
            level = _fraction(script.number[row], base, b[known_at(b, b[account_at(a) + KNOWS], LAST) + code])
        if level == UNSURE:
            return k, base
        if level != NULL and b[b[LEVELS_AT] + at] != level:
            aim(b, g, a, code, level, 0)
    return -1, 0


@inner
def _has_room(b: IntArray, g: IntArray, more: int) -> bool:
    """Whether a minute with `more` bars surely has room."""
    high = b[HIGH] + more
    return high <= g[ORDER_ROOM] and b[RECORDS] + high <= g[ROOM]


@inner
def play(
    b: IntArray, g: IntArray, tape: Tape, script: Script, usual: npt.NDArray[np.int32], a: int, rule: int, style: int,
    since: int, begun: int,
    only: npt.NDArray[np.bool_],
) -> tuple[int, int, int]:  # fmt: skip
    """Play minutes from `since` on, the first from its bar number `begun` on (-1: from its beginning).

    It stops with the minute and -1 where there may be no room for the minute; with the minute, the bar's number and the equity where
    Python has to look at a bar. After the last minute the minute is how many there are.
    """
    last = known_at(b, 0, LAST)
    ended = known_at(b, 0, ENDED)
    seen = known_at(b, 0, SEEN)
    minutes = len(tape.time)
    for slot in range(since, minutes):
        if script.start[slot] == script.start[slot + 1]:
            continue
        end = tape.time[slot] + MINUTE
        if begun < 0:
            if not _has_room(b, g, script.start[slot + 1] - script.start[slot]):
                return slot, -1, 0
            if rule == NEXT_OPEN and b[account_at(a) + LIVE]:
                match(b, g, tape, rule, tape.time[slot], slot, False, only)
            for k in range(script.start[slot], script.start[slot + 1]):
                row = script.turn[k]
                code = script.code[row]
                b[last + code] = unit(tape.close[row])
                b[ended + code] = end
                b[seen + code] += 1
            b[ELAPSED] = slot + 1
            for code in range(usual.shape[1]):
                b[b[USUAL_AT] + code] = usual[slot, code]
            b[VALUED] = -1
            b[account_at(a) + DECIDED] = end
            if rule == NEXT_CLOSE and b[account_at(a) + LIVE]:
                match(b, g, tape, rule, end, slot, True, only)
        begun, base = decide_minute(b, g, script, a, style, slot, begun)
        if begun >= 0:
            return slot, begun, base
        if rule == SAME_CLOSE and b[account_at(a) + LIVE]:
            match(b, g, tape, rule, end, slot, True, only)
    return minutes, -1, 0


@compiled
def play_bars(
    b: IntArray, g: IntArray, usual: npt.NDArray[np.int32], rule: int, style: int, since: int, begun: int,
    only: npt.NDArray[np.bool_], code: IntArray, level: IntArray, number: npt.NDArray[np.float64], said: npt.NDArray[np.uint8],
    turn: IntArray, start: IntArray, *tape: np.ndarray,
) -> tuple[int, int, int]:  # fmt: skip
    """`play` of the arrays of a `Script` and of a `Tape`, for the first account."""
    script = Script(code, level, number, said, turn, start)
    return play(b, g, Tape(*tape), script, usual, 0, rule, style, since, begun, only)


@compiled
def decide_bars(
    b: IntArray, g: IntArray, a: int, style: int, slot: int, begun: int, *script: np.ndarray
) -> tuple[int, int]:
    """`decide_minute` of the arrays of a `Script`."""
    return decide_minute(b, g, Script(*script), a, style, slot, begun)
